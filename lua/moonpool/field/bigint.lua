-- Whole numbers of 64 bits.

return require("moonpool.field.whole").type("bigint", 64)
