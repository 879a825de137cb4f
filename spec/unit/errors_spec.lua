local errors = require "moonpool.errors"

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

describe("an error", function()
  it("is a table with its kind, its message and further fields", function()
    local err = raised(errors.raise, "unique", "duplicate name", { table = "user", columns = { "name" } })
    assert.equal("unique", err.kind)
    assert.equal("duplicate name", err.message)
    assert.equal("user", err.table)
    assert.same({ "name" }, err.columns)
    assert.is_false(err.retryable)
    assert.is_false(err.sent)
  end)

  it("leaves the table of fields alone", function()
    local fields = { table = "user" }
    errors.new("unique", "x", fields)
    assert.same({ table = "user" }, fields)
  end)

  it("is one line as text", function()
    assert.equal("syntax: near SELECT on line 2", tostring(errors.new("syntax", "near SELECT\n  on line 2")))
  end)

  it("of an unknown kind is a mistake of the library", function()
    assert.has_error(function()
      errors.new("oops", "x")
    end)
  end)

  it("that the core gave back becomes an object and keeps its fields", function()
    local err = errors.from_core { kind = "busy", message = "locked", retryable = "transaction", code = 5, sent = true }
    assert.equal("busy: locked", tostring(err))
    assert.equal("transaction", err.retryable)
    assert.equal(5, err.code)
    assert.is_true(err.sent)
  end)
end)

describe("mp.is", function()
  it("answers for the kind, its family and the kind above it", function()
    local err = errors.new("not_configured", "x")
    assert.is_true(errors.is(err, "not_configured"))
    assert.is_true(errors.is(err, "configuration"))
    assert.is_true(errors.is(err, "usage"))
    assert.is_false(errors.is(err, "integrity"))
  end)

  it("counts pool_closed to the pool and to usage", function()
    assert.is_true(errors.is(errors.new("pool_closed", "x"), "pool"))
    assert.is_true(errors.is(errors.new("pool_closed", "x"), "usage"))
  end)

  it("is false for what is no error of ours", function()
    assert.is_false(errors.is("unique", "unique"))
    assert.is_false(errors.is({ kind = 7 }, "unique"))
    assert.is_false(errors.is(nil, "unique"))
  end)

  it("refuses a name that is neither kind nor family", function()
    local err = raised(errors.is, errors.new("unique", "x"), "uniqe")
    assert.equal("bad_argument", err.kind)
    assert.truthy(err.message:find("uniqe", 1, true))
  end)
end)

describe("a traceback", function()
  local function inner()
    local _ = errors.raise("data" and "other_data", "x") -- the user's line
    return _
  end

  it("starts at the user's line, not in the library or a C function", function()
    local err = raised(inner)
    local first = err.traceback:match "^[^\n]*"
    assert.truthy(first:find("errors_spec.lua:%d+: in"), first)
    assert.is_nil(first:find("errors.lua", 1, true))
  end)

  it("starts at the user's line when a C function of the core raises", function()
    local core = require "moonpool.core"
    local err = raised(function()
      core.take(4711)
    end)
    assert.equal("stale_handle", err.kind)
    assert.truthy(err.traceback:find("^%s*%S*errors_spec.lua:%d+: in"), err.traceback)
  end)
end)

describe("the report of an error", function()
  it("tells the line, the traceback, the cause and what happened meanwhile", function()
    local err = errors.new("timeout", "too late", { cause = "disk on fire" })
    errors.suppress(err, errors.new("busy", "locked"))
    local text = errors.report(err)
    assert.truthy(text:find "^timeout: too late\nstack traceback:\n")
    assert.truthy(text:find("caused by\n  disk on fire", 1, true))
    assert.truthy(text:find("meanwhile\n  busy: locked", 1, true))
  end)
end)
