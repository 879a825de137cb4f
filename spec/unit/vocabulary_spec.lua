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
