-- Whole numbers of 16 bits.

return require("moonpool.field.whole").type("smallint", 16)
