-- Hooks: methods of an entity with a name of the contract, run before and after its objects are written and after they
-- are loaded. They run in the task that writes and may query.

local object = require "moonpool.entity.object"

local hooks = {}

local method = object.method

-- Names of the hooks that some entity has. Each operation asks for several, and most programs have few.
local written = {}

--- An entity gets a hook of that name.
function hooks.note(name)
  written[name] = true
end

--- The hook of that name, the entity's own or of one that it extends, or nil.
---@return function?
function hooks.find(class, name)
  return written[name] and method(class, name)
end

--- Run the hook of that name, where there is one. What it raises passes through.
function hooks.run(class, self, name)
  local fn = written[name] and method(class, name)
  if fn then
    fn(self)
  end
end

return hooks
