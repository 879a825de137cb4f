-- Errors that nobody waits for: written to standard error, once, when it is certain that nobody will.
-- That is when the task object is collected, or when the program ends.

local errors = require "moonpool.errors"

local unobserved = { count = 0 } -- how many were written

local notes, last = {}, 0 -- in order of failure; a note that was written or observed is gone

local function write(note)
  if notes[note.number] == nil then
    return
  end
  notes[note.number] = nil
  unobserved.count = unobserved.count + 1
  local ok, text = pcall(errors.report, note.err, note.traceback)
  io.stderr:write("moonpool: error in ", note.name, ", which nobody waited for: ",
    ok and text or "(the error cannot be shown)", "\n")
end

-- Something that calls fn when it is collected.
local function sentinel(fn)
  if newproxy then -- LuaJIT: tables have no finalizer
    local proxy = newproxy(true)
    getmetatable(proxy).__gc = fn
    return proxy
  end
  return setmetatable({}, { __gc = fn })
end

--- A task has failed and nobody waits for it.
---@param task table  ---@param name string
function unobserved.note(task, name)
  last = last + 1
  local note = { number = last, name = name, err = task.err, traceback = task.traceback }
  notes[last] = note
  task.note = note
  task.sentinel = sentinel(function()
    write(note)
  end)
end

--- Somebody has waited for it after all.
function unobserved.observe(task)
  if task.note then
    notes[task.note.number] = nil
    task.note, task.sentinel = nil, nil
  end
end

--- The program, or mp.run, ends: write what is left, oldest first.
function unobserved.flush()
  for number = 1, last do
    if notes[number] then
      write(notes[number])
    end
  end
  last = next(notes) and last or 0
end

return unobserved
