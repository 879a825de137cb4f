-- W8: a transaction in a transaction around one update that reads its column.

local mp = require "moonpool"
local measure = require "measure"
local entities = require "entities"
local Author = entities.Author

local w8 = {}

function w8.objects(run)
  local figures, next_number = measure.figures, measure.random(7)
  local function once()
    return mp.atomic(function()
      return mp.atomic(function()
        local id = next_number() % run.authors + 1
        return Author:filter{ id = id }:update{ age = mp.F.age + 1 }
      end)
    end)
  end
  for _ = 1, run.n do
    local start = measure.clock()
    measure.start()
    figures.checksum = figures.checksum + once()
    measure.stop()
    measure.took(start)
  end
  figures.units = run.n
end

return w8
