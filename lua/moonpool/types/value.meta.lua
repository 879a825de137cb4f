---@meta
-- Values that Lua has no type for. They compare with == and <, calculate exactly and print as text.

---@class moonpool.decimal
---@operator add(moonpool.decimal|number): moonpool.decimal
---@operator sub(moonpool.decimal|number): moonpool.decimal
---@operator mul(moonpool.decimal|number): moonpool.decimal
---@operator div(moonpool.decimal|number): moonpool.decimal
---@operator idiv(moonpool.decimal|number): moonpool.decimal
---@operator mod(moonpool.decimal|number): moonpool.decimal
---@operator unm: moonpool.decimal
local Decimal = {}

--- Whether it is the same number: 1.20 is 1.2.
---@param other moonpool.decimal|number|string
---@return boolean
function Decimal:eq(other) end
---@param digits integer? behind the point
---@return moonpool.decimal
function Decimal:round(digits) end
---@return number
function Decimal:tonumber() end
---@return integer
function Decimal:tointeger() end

---@class moonpool.date
---@field year integer
---@field month integer
---@field day integer
---@operator add(moonpool.interval): moonpool.date
---@operator sub(any): any

---@class moonpool.time
---@field hour integer
---@field minute integer
---@field second integer
---@field microsecond integer

---@class moonpool.datetime
---@field year integer
---@field month integer
---@field day integer
---@field hour integer
---@field minute integer
---@field second integer
---@field microsecond integer
---@operator add(moonpool.interval): moonpool.datetime
---@operator sub(any): any
local Datetime = {}

--- Seconds since 1970.
---@return number
function Datetime:timestamp() end

---@class moonpool.interval
---@field months integer
---@field days integer
---@field microseconds integer
---@operator add(moonpool.interval): moonpool.interval
---@operator sub(moonpool.interval): moonpool.interval

--- Bytes to send as such.
---@class moonpool.blob
