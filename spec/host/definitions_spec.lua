-- The definition files for editors say what the library has: every name, every parameter, and nothing else.

local mp = require "moonpool"
local definitions = require "spec.support.definitions"

local bulk = require "moonpool.entity.bulk"
local object = require "moonpool.entity.object"
local query_set = require "moonpool.entity.query"
local raw = require "moonpool.entity.raw"
local schema = require "moonpool.entity.schema"

-- Not for programs, though they could be called.
local INTERNAL = {
  ["moonpool.calls"] = {}, ["moonpool.database"] = { place = true, reads = true },
  ["moonpool.connection"] = { place = true }, ["moonpool.query"] = { export = true },
}

-- What stands behind a name that only passes its arguments on.
local BEHIND = {
  bulk_create = bulk.create, bulk_update = bulk.update, upsert = bulk.upsert, raw = raw.objects,
  create_table = schema.create_table, drop_table = schema.drop_table,
}

local function is_later(fn)
  return debug.getinfo(fn, "S").source:find "moonpool/init%.lua$" ~= nil
end

local function functions_of(...)
  local found = {}
  for _, from in ipairs{ ... } do
    for name, value in pairs(from) do
      if type(name) == "string" and type(value) == "function" and not name:find "^__" and not is_later(value) then
        found[name] = value
      end
    end
  end
  return found
end

-- Parameters as written, without self and without what is only there to be refused.
local function parameters_of(fn, colon)
  local info = debug.getinfo(fn, "u")
  local names = {}
  for i = 1, info.nparams do names[i] = debug.getlocal(fn, i) end
  if colon then table.remove(names, 1) end
  local given = colon and names[#names] == "given" -- of another function, which takes it or refuses it
  if given then table.remove(names) end
  if info.isvararg then names[#names + 1] = "..." end
  return names, given
end

describe("the definition files", function()
  local classes, live, closers

  setup(function()
    classes = definitions.read()
    closers = {}
    local db = mp.open "sqlite::memory:"
    local Author = mp.entity("Author", { name = mp.field.string() }, { database = db })
    local Book = mp.entity("Book", { author = mp.field.belongs_to("Author", { inverse = "books" }) }, { database = db })
    db:create_all()
    Author:create{ name = "ada" }
    local function methods(value)
      local meta = getmetatable(value)
      return functions_of(type(meta.__index) == "table" and meta.__index or meta)
    end
    local difference = methods(db:diff())
    local connection = db:connect()
    local prepared = connection:prepare "select 1"
    local stream = connection:stream "select 1"
    live = {
      ["moonpool"] = functions_of(mp),
      ["moonpool.atomic"] = functions_of(mp.atomic),
      ["moonpool.sessions"] = functions_of(mp.session),
      ["moonpool.testing"] = functions_of(mp.testing),
      ["moonpool.loop"] = functions_of(mp.loop),
      ["moonpool.fields"] = functions_of(mp.field),
      ["moonpool.database"] = methods(db),
      ["moonpool.connection"] = methods(connection),
      ["moonpool.prepared"] = methods(prepared),
      ["moonpool.stream"] = methods(stream),
      ["moonpool.query"] = functions_of(query_set.methods),
      ["moonpool.object"] = functions_of(object.methods),
      ["moonpool.diff"] = difference,
      ["moonpool.expression"] = functions_of((function()
        for i = 1, 20 do
          local name, value = debug.getupvalue(getmetatable(Author.name).__index, i)
          if name == "methods" then return value end
        end
      end)()),
    }
    -- an entity has what query sets have, and more
    live["moonpool.entity"] = {}
    local index = getmetatable(Book).__index -- the methods asked for before, and behind them the function that finds them
    index = type(index) == "table" and getmetatable(index).__index or index
    for i = 1, 20 do
      local name, value = debug.getupvalue(index, i)
      for method, fn in pairs(name == "methods" and value or {}) do
        if not rawget(query_set.methods, method) and method ~= "import" then live["moonpool.entity"][method] = fn end
      end
    end
    stream:close()
    prepared:close()
    connection:close()
    local transaction = db:begin()
    live["moonpool.transaction"] = methods(transaction)
    transaction:rollback()
    local session = db:session()
    live["moonpool.session"] = methods(session)
    session:close()
    local task = mp.spawn(function() end)
    live["moonpool.task"] = functions_of(getmetatable(task))
    task:wait()
    closers[1] = function() db:close() end
  end)

  teardown(function()
    for _, close in ipairs(closers) do close() end
  end)

  -- With what its parents have.
  local function methods_of(class)
    local found = {}
    while class do
      for name, method in pairs(class.methods) do found[name] = found[name] or method end
      class = classes[class.parent or ""]
    end
    return found
  end

  it("name what there is, and nothing else", function()
    local wrong = {}
    for name, functions in pairs(live) do
      local class = assert(classes[name], "no class " .. name)
      local defined = name == "moonpool.entity" and class.methods or methods_of(class)
      for each, fn in pairs(functions) do
        if not defined[each] and not (INTERNAL[name] or {})[each] then
          wrong[#wrong + 1] = ("%s.%s is not defined (%s)"):format(name, each, debug.getinfo(fn, "S").short_src)
        end
      end
      for each in pairs(defined) do
        local is_there = functions[each] or rawget(mp, each) and name == "moonpool"
        if not is_there then wrong[#wrong + 1] = ("%s.%s is defined and not there"):format(name, each) end
      end
    end
    table.sort(wrong)
    assert.equal("", table.concat(wrong, "\n"))
  end)

  it("have the parameters that there are, each with its type, and say what is returned", function()
    local wrong = {}
    for name, functions in pairs(live) do
      for each, method in pairs(methods_of(classes[name])) do
        local fn = BEHIND[each] and (name == "moonpool.entity" or name == "moonpool.query") and BEHIND[each] or functions[each]
        local title = name .. "." .. each
        if fn and debug.getinfo(fn, "S").what ~= "C" and fn ~= functions.table then
          local names, handed_on = parameters_of(fn, method.colon)
          local expected = table.concat(names, ", ")
          local given = table.concat(method.parameters, ", ")
          local passes_on = expected == "..." and not BEHIND[each] -- and another function takes them
          local info = debug.getinfo(fn, "u")
          local refuses = method.colon and info.nparams == 0 and not info.isvararg -- what is to come
          handed_on = handed_on and #method.parameters == #names + 1
          if given ~= expected and not passes_on and not refuses and not handed_on then
            wrong[#wrong + 1] = ("%s(%s) is defined as (%s)"):format(title, expected, given)
          end
          local returns = definitions.returns_of(fn)
          if returns and returns > 0 and method.returns == 0 then
            wrong[#wrong + 1] = title .. " returns something"
          end
        end
        local documented = {}
        for i, parameter in ipairs(method.parameters) do
          documented[parameter] = i
          local found = false
          for _, known in ipairs(method.documented) do found = found or known == parameter end
          if not found and parameter ~= "..." then wrong[#wrong + 1] = title .. ": no type for " .. parameter end
        end
        for _, parameter in ipairs(method.documented) do
          if not documented[parameter] then wrong[#wrong + 1] = title .. " has no parameter " .. parameter end
        end
      end
    end
    table.sort(wrong)
    assert.equal("", table.concat(wrong, "\n"))
  end)

  it("name the parts of moonpool that are no functions, the functions of mp.fn, and the fields of values", function()
    for name in pairs(classes.moonpool.fields) do assert.is_not_nil(mp[name], name) end
    for name, value in pairs(mp) do
      if type(value) ~= "function" then assert.is_string(classes.moonpool.fields[name], name) end
    end
    local functions = require "moonpool.resolve.functions"
    for name, value in pairs(functions) do
      if type(value) == "table" then assert.is_string(classes["moonpool.functions"].fields[name], name) end
    end
    local Number = mp.entity("Number", { n = mp.field.integer() })
    for name in pairs(classes["moonpool.functions"].fields) do
      if not functions[name] then
        local ok, err = pcall(function() return Number:aggregate{ x = mp.fn[name]("n") } end)
        assert.is_true(ok or err.kind ~= "unsupported" and not tostring(err):find("no function", 1, true), name .. ": " .. tostring(err))
      end
    end
    local values = {
      ["moonpool.decimal"] = mp.decimal "1", ["moonpool.date"] = mp.date "2026-01-01", ["moonpool.time"] = mp.time "10:00",
      ["moonpool.datetime"] = mp.now(), ["moonpool.interval"] = mp.interval "P1D",
    }
    for name, value in pairs(values) do
      for field in pairs(classes[name].fields) do assert.is_number(value[field], name .. "." .. field) end
      for method in pairs(classes[name].methods) do assert.is_function(value[method], name .. "." .. method) end
    end
    assert.same({ "decode", "encode" }, (function()
      local names = {}
      for name in pairs(classes["moonpool.json"].methods) do
        assert.is_function(mp.json[name])
        names[#names + 1] = name
      end
      table.sort(names)
      return names
    end)())
  end)

  it("speak of classes that are there", function()
    local pipe <close> = assert(io.popen "cat lua/moonpool/types/*.meta.lua")
    for line in pipe:lines() do
      if line:find "^%-%-%-@" and not line:find "^%-%-%-@meta" then
        for name in line:gsub("%-%-%-@%w+%s+", "", 1):gmatch "%f[%w]moonpool[%w_.]*" do
          assert.is_table(classes[name], name .. " in " .. line)
        end
      end
    end
  end)
end)

