-- core.original: what the database holds of one object, to find out what changed in it.

local core = require "moonpool.core"

local kind = core.kind

local plan = { names = {}, kinds = {} }
for i, column in ipairs { { "id", "int" }, { "name", "text" }, { "price", "decimal" }, { "at", "datetime" },
  { "prefs", "json" }, { "span", "interval" }, { "score", "float" }, { "done", "bool" }, { "raw", "blob" }, { "key", "uuid" } } do
  plan.names[i], plan.kinds[i] = column[1], kind[column[2]]
end

local function new_object()
  return {
    id = 7, name = "ada", price = core.decimal "1.20", at = core.datetime "2026-11-20T12:00:00Z",
    prefs = { theme = "dark", sizes = core.array { 1, 2 } }, span = core.interval "P1D", score = 0.5, done = true,
    raw = "\0\255", key = "01890a5d-ac96-774b-bcce-b302099a8057",
  }
end

describe("an original", function()
  it("sees no change in an untouched object, nor in equal values", function()
    local object = new_object()
    local original = core.original(object, plan, nil)
    assert.is_nil(original:changed(object, plan))
    object.price = "1.2"
    object.at = "2026-11-20T13:00:00+01:00"
    object.prefs = { sizes = { 1, 2 }, theme = "dark" }
    object.key = object.key:upper()
    assert.is_nil(original:changed(object, plan))
  end)

  it("names the places that changed, also inside JSON", function()
    local object = new_object()
    local original = core.original(object, plan, nil)
    object.prefs.sizes[3] = 3
    assert.same({ 5 }, original:changed(object, plan))
    object.name = nil
    object.id = 8
    object.done = false
    object.raw = "\0\254"
    assert.same({ 1, 2, 5, 8, 9 }, original:changed(object, plan))
    object = new_object()
    object.span = core.interval "PT24H"
    assert.same({ 6 }, original:changed(object, plan))
    object = new_object()
    object.price, object.at, object.prefs = "x", {}, { print }
    assert.same({ 3, 4, 5 }, original:changed(object, plan))
  end)

  it("names arrays of the server's that changed, also inside", function()
    local arrays = { names = { "a", "b" }, kinds = { kind.array, kind.array } }
    local object = { a = { { 1, core.null }, { 3, 4 } }, b = { "x", core.interval "P1D" } }
    local original = core.original(object, arrays, nil)
    collectgarbage()
    assert.is_nil(original:changed(object, arrays))
    object.a[2][1] = 3.0
    object.b = core.array { "x", "P1D" }
    assert.is_nil(original:changed(object, arrays))
    object.a[1][2] = 2
    object.b[3] = "y"
    assert.same({ 1, 2 }, original:changed(object, arrays))
    original:restore(object, arrays)
    assert.same("[[1,null],[3,4]]", core.json_encode(object.a))
    assert.same("[\"x\",\"P1D\"]", core.json_encode(object.b))
    object.a, object.b = {}, nil
    assert.same({ 1, 2 }, original:changed(object, arrays))
    assert.has_error(function() core.original({ a = { 1, { 2 } } }, arrays, nil) end)
  end)

  it("knows NULL from a value", function()
    local object = { id = 1 }
    local original = core.original(object, plan, nil)
    assert.is_nil(original:changed(object, plan))
    object.name = core.null
    assert.is_nil(original:changed(object, plan))
    object.name = ""
    assert.same({ 2 }, original:changed(object, plan))
  end)

  it("gives its values back, one by one and into the object", function()
    local object = new_object()
    object.span = "P2W"
    object.price = ("1"):rep(40) .. ".50"
    local original = core.original(object, plan, nil)
    assert.equal("P14D", tostring(original:value(6, plan)))
    assert.equal(("1"):rep(40) .. ".50", tostring(original:value(3, plan)))
    for _, name in ipairs(plan.names) do object[name] = nil end
    object.name = "eve"
    object._mine = 1
    original:restore(object, plan)
    assert.is_nil(original:changed(object, plan))
    assert.same({ 7, "ada", 0.5, true, "\0\255" }, { object.id, object.name, object.score, object.done, object.raw })
    assert.same({ 1, 2 }, object.prefs.sizes)
    assert.equal("P14D", tostring(object.span))
    assert.equal(1, object._mine)
  end)

  it("keeps what it holds when everything around is gone", function()
    local originals = {}
    for i = 1, 200 do
      originals[i] = core.original({ id = i, name = "name " .. i, prefs = { i = i }, span = "P" .. i .. "D" }, plan, nil)
    end
    collectgarbage()
    collectgarbage()
    for i = 1, 200 do
      assert.equal("name " .. i, originals[i]:value(2, plan))
      assert.equal(i, originals[i]:value(5, plan).i)
      assert.equal(i, originals[i]:value(6, plan).days)
    end
  end)

  it("carries its batch", function()
    local batch = {}
    local original = core.original({ id = 1 }, plan, batch)
    assert.is_true(rawequal(batch, original.batch))
    assert.is_nil(core.original({ id = 1 }, plan, nil).batch)
    local other = {}
    original.batch = other
    assert.is_true(rawequal(other, original.batch))
  end)

  it("refuses a value that is not of its column, and names it", function()
    local ok, err = pcall(core.original, { at = "noon" }, plan, nil)
    assert.is_false(ok)
    assert.equal('column "at": a datetime is such as 2026-11-20T12:30:00Z', err.message)
  end)
end)
