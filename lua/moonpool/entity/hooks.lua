-- Hooks: methods of an entity with a name of the contract, run before and after its objects are written and after they
-- are loaded. They run in the task that writes and may query.

local hooks = {}

local rawget = rawget

--- Run the hook of that name, where the entity has one. What it raises passes through.
function hooks.run(class, object, name)
  local fn = rawget(class.entity, name)
  if fn then
    fn(object)
  end
end

return hooks
