---@meta
-- mp.field: what entities are declared with.

---@class moonpool.field

---@class moonpool.field.options
---@field null boolean? whether NULL is allowed
---@field default any a value, or a function that gives one
---@field unique boolean?
---@field index boolean?
---@field primary_key boolean?
---@field column string? its name in the table
---@field choices any[]?
---@field validate (fun(value: any, object: table): boolean, string?)?
---@field server_default string? SQL
---@field collation string?
---@field lazy boolean? loaded when touched
---@field version boolean? a counter that each update checks
---@field min any
---@field max any
---@field max_length integer?
---@field precision integer?
---@field scale integer?
---@field timezone boolean?
---@field of moonpool.field?
---@field [integer] string the values of an enum

---@class moonpool.relation.options : moonpool.field.options
---@field inverse string? the name of the way back
---@field through (string|moonpool.entity)? the table of a many-to-many
---@field on_delete "restrict"|"cascade"|"set_null"|"set_default"|"protect"|"no_action"|nil
---@field on_update "restrict"|"cascade"|"set_null"|"set_default"|"protect"|"no_action"|nil

---@class moonpool.fields
local Fields = {}

---@param options moonpool.field.options?
---@return moonpool.field
function Fields.id(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.smallint(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.integer(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.bigint(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.float(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.decimal(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.boolean(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.string(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.text(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.binary(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.date(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.time(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.datetime(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.interval(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.uuid(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.json(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.enum(options) end
---@param options moonpool.field.options?
---@return moonpool.field
function Fields.array(options) end
---@param target string|moonpool.entity
---@param options moonpool.relation.options?
---@return moonpool.field
function Fields.belongs_to(target, options) end
---@param target string|moonpool.entity
---@param options moonpool.relation.options?
---@return moonpool.field
function Fields.one_to_one(target, options) end
---@param target string|moonpool.entity
---@param options moonpool.relation.options?
---@return moonpool.field
function Fields.many_to_many(target, options) end
