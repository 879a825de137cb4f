---@meta
-- Expressions and conditions: what mp.F.name, Author.name and mp.fn give.

---@class moonpool.condition
---@operator band(moonpool.condition): moonpool.condition
---@operator bor(moonpool.condition): moonpool.condition
---@operator bnot: moonpool.condition

--- An order, for order_by.
---@class moonpool.order

---@class moonpool.expression
---@operator add(any): moonpool.expression
---@operator sub(any): moonpool.expression
---@operator mul(any): moonpool.expression
---@operator div(any): moonpool.expression
---@operator idiv(any): moonpool.expression
---@operator mod(any): moonpool.expression
---@operator concat(any): moonpool.expression
---@operator unm: moonpool.expression
---@field [string] moonpool.expression what a relation leads to
local Expression = {}

---@param v any nil: IS NULL
---@return moonpool.condition
function Expression:eq(v) end
---@param v any nil: IS NOT NULL
---@return moonpool.condition
function Expression:ne(v) end
---@param v any
---@return moonpool.condition
function Expression:gt(v) end
---@param v any
---@return moonpool.condition
function Expression:ge(v) end
---@param v any
---@return moonpool.condition
function Expression:lt(v) end
---@param v any
---@return moonpool.condition
function Expression:le(v) end
---@param v any[]|moonpool.query
---@return moonpool.condition
function Expression:in_(v) end
---@param v any[]|moonpool.query
---@return moonpool.condition
function Expression:not_in(v) end
---@param low any
---@param high any
---@return moonpool.condition
function Expression:between(low, high) end
--- A pattern with % and _.
---@param v string
---@return moonpool.condition
function Expression:like(v) end
---@param v string
---@return moonpool.condition
function Expression:ilike(v) end
---@param v any
---@return moonpool.condition
function Expression:contains(v) end
---@param v string
---@return moonpool.condition
function Expression:icontains(v) end
---@param v string
---@return moonpool.condition
function Expression:startswith(v) end
---@param v string
---@return moonpool.condition
function Expression:endswith(v) end
---@return moonpool.condition
function Expression:is_null() end
---@param options {nulls: "first"|"last"|nil}?
---@return moonpool.order
function Expression:asc(options) end
---@param options {nulls: "first"|"last"|nil}?
---@return moonpool.order
function Expression:desc(options) end

--- mp.fn: any function of the contract, by its name. A text is a field.
---@class moonpool.functions
---@field count fun(field: any?, ...: any): moonpool.expression an aggregate; options: distinct, filter
---@field sum fun(field: any?, ...: any): moonpool.expression an aggregate; options: distinct, filter
---@field avg fun(field: any?, ...: any): moonpool.expression an aggregate; options: distinct, filter
---@field min fun(field: any?, ...: any): moonpool.expression an aggregate; options: distinct, filter
---@field max fun(field: any?, ...: any): moonpool.expression an aggregate; options: distinct, filter
---@field string_agg fun(field: any?, ...: any): moonpool.expression an aggregate; options: distinct, filter
---@field bool_and fun(field: any?, ...: any): moonpool.expression an aggregate; options: distinct, filter
---@field bool_or fun(field: any?, ...: any): moonpool.expression an aggregate; options: distinct, filter
---@field stddev_pop fun(field: any?, ...: any): moonpool.expression an aggregate; options: distinct, filter
---@field stddev_samp fun(field: any?, ...: any): moonpool.expression an aggregate; options: distinct, filter
---@field var_pop fun(field: any?, ...: any): moonpool.expression an aggregate; options: distinct, filter
---@field var_samp fun(field: any?, ...: any): moonpool.expression an aggregate; options: distinct, filter
---@field abs fun(...: any): moonpool.expression
---@field ceil fun(...: any): moonpool.expression
---@field coalesce fun(...: any): moonpool.expression
---@field concat fun(...: any): moonpool.expression
---@field cume_dist fun(...: any): moonpool.expression
---@field current_date fun(...: any): moonpool.expression
---@field date fun(...: any): moonpool.expression
---@field date_trunc fun(...: any): moonpool.expression
---@field day fun(...: any): moonpool.expression
---@field dense_rank fun(...: any): moonpool.expression
---@field exp fun(...: any): moonpool.expression
---@field first_value fun(...: any): moonpool.expression
---@field floor fun(...: any): moonpool.expression
---@field greatest fun(...: any): moonpool.expression
---@field hour fun(...: any): moonpool.expression
---@field lag fun(...: any): moonpool.expression
---@field last_value fun(...: any): moonpool.expression
---@field lead fun(...: any): moonpool.expression
---@field least fun(...: any): moonpool.expression
---@field length fun(...: any): moonpool.expression
---@field ln fun(...: any): moonpool.expression
---@field log fun(...: any): moonpool.expression
---@field lower fun(...: any): moonpool.expression
---@field ltrim fun(...: any): moonpool.expression
---@field minute fun(...: any): moonpool.expression
---@field month fun(...: any): moonpool.expression
---@field now fun(...: any): moonpool.expression
---@field nth_value fun(...: any): moonpool.expression
---@field ntile fun(...: any): moonpool.expression
---@field nullif fun(...: any): moonpool.expression
---@field percent_rank fun(...: any): moonpool.expression
---@field power fun(...: any): moonpool.expression
---@field quarter fun(...: any): moonpool.expression
---@field random fun(...: any): moonpool.expression
---@field rank fun(...: any): moonpool.expression
---@field replace fun(...: any): moonpool.expression
---@field round fun(...: any): moonpool.expression
---@field row_number fun(...: any): moonpool.expression
---@field rtrim fun(...: any): moonpool.expression
---@field second fun(...: any): moonpool.expression
---@field sign fun(...: any): moonpool.expression
---@field sqrt fun(...: any): moonpool.expression
---@field strpos fun(...: any): moonpool.expression
---@field substr fun(...: any): moonpool.expression
---@field trim fun(...: any): moonpool.expression
---@field upper fun(...: any): moonpool.expression
---@field week fun(...: any): moonpool.expression
---@field week_day fun(...: any): moonpool.expression
---@field year fun(...: any): moonpool.expression
