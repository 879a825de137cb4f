-- Whole numbers of 32 bits.

return require("moonpool.field.whole").type("integer", 32)
