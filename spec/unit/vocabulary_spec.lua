local vocabulary = require "moonpool.vocabulary"

describe("the nearest name", function()
  local names = { "name", "age", "pool", "max", "balance" }

  it("is the one that a typing error away was meant", function()
    assert.equal("name", vocabulary.nearest("nme", names))
    assert.equal("max", vocabulary.nearest("mx", names))
    assert.equal("balance", vocabulary.nearest("balnace", names))
    assert.equal("balance", vocabulary.nearest("blance_", names))
  end)

  it("is none when half of a short word is different", function()
    assert.is_nil(vocabulary.nearest("foo", names))
    assert.is_nil(vocabulary.nearest("colour", names))
  end)
end)

describe("a value in a message", function()
  it("is readable, whatever its bytes are", function()
    assert.equal('"a\\"b\\\\c"', vocabulary.quoted 'a"b\\c')
    assert.equal('"\\0\\10"', vocabulary.quoted "\0\n")
    assert.equal('"a\195\164\226\130\172\240\157\132\158"', vocabulary.quoted "a\195\164\226\130\172\240\157\132\158")
    assert.equal('"\\255\\254x\\195"', vocabulary.quoted "\255\254x\195")
  end)

  it("is cut behind a whole character", function()
    local a = "\195\164"
    assert.equal('"' .. a:rep(20) .. '"...', vocabulary.quoted(a:rep(30)))
    assert.equal('"x' .. a:rep(19) .. '"...', vocabulary.quoted("x" .. a:rep(30)))
    assert.equal('"' .. ("x"):rep(40) .. '"', vocabulary.quoted(("x"):rep(40)))
  end)
end)
