-- Transactions of a task: a stack of frames for each database, the outermost a transaction, the others
-- savepoints. A frame keeps what must happen at its end: hooks, and the objects to be put right after a rollback.
-- Blocks with functions, retries and handles are built on it in moonpool.atomic.

local begin_options = require "moonpool.database.begin_options"
local errors = require "moonpool.errors"
local event = require "moonpool.database.event"
local holding = require "moonpool.database.holding"
local runtime = require "moonpool.runtime"
local verdict = require "moonpool.database.verdict"

local transaction = {}

-- Puts objects back as they were: (object -> what note() was given). Set by the entity floor.
transaction.restore = nil

-- The innermost frame of the task over all databases, for on_commit: key of task.locals.
local LATEST = {}

local check_wait = runtime.check_wait
local acquire, hold = holding.acquire, holding.hold
local watch, unwatch, open, tidy = holding.watch, holding.unwatch, holding.open, holding.tidy

local weak_keys = { __mode = "k" }

---@class moonpool.frame
---@field database table
---@field task table
---@field lease userdata
---@field parent moonpool.frame? the frame around it
---@field number integer? of the transaction on the server, where a lost COMMIT is to be resolved
---@field level integer 0 for the transaction, 1.. for savepoints
---@field over boolean? committed or rolled back
---@field failure table? the error that failed it
---@field block boolean? a function runs inside; it ends the frame
---@field kept boolean? the transaction is committed: whatever fails now, it stays so
---@field savepoint boolean? made by tx:savepoint()
---@field testing boolean? of mp.testing.rollback: what begins inside is to look as if it were outermost
---@field quiet boolean? no record is made of its statements
---@field session table? the session that the frame is inside of, when it is a savepoint there
---@field before table<table, any>? objects written here, and how they were
---@field committed function[]? hooks for after the commit
---@field undone function[]? hooks for after a rollback
---@field abandon (fun(frame: moonpool.frame))? of a transaction: its task has ended, and it has not

-- What a frame directly inside mp.testing.rollback would have said without it.
local OUTERMOST = { SAVEPOINT = "BEGIN", ["RELEASE SAVEPOINT"] = "COMMIT", ["ROLLBACK TO SAVEPOINT"] = "ROLLBACK" }

-- Run a transaction statement. Gives its problem, and its record if somebody reads them: to be told when the frame is in
-- order, because a reader may query, or raise.
local function control(frame, word, op, cleanup)
  local database = frame.database
  if not database.observers or frame.quiet then
    return holding.settle(op, cleanup)
  elseif frame.parent and frame.parent.testing then
    word = OUTERMOST[word] or word
  end
  local record = event.start(database, word, 0)
  local problem = holding.settle(op, cleanup, function()
    event.times(record, op)
  end)
  record.error = problem
  return problem, record
end

-- What fails on the way of an error is noted in that.
local function try_beside(err, fn, ...)
  local ok, problem = pcall(fn, ...)
  if not ok then
    errors.suppress(err, problem)
  end
end

local function tell(frame, record)
  if record then
    event.finish(frame.database, record)
  end
end

--- Whether a frame's commit is the end of a transaction, for all that the program can see.
function transaction.is_outermost(frame)
  return frame.parent == nil or frame.parent.testing == true
end

local abandon -- what a transaction does whose task has ended

local function nested(held, task, options)
  local parent = held.frame
  local frame = { -- with room for what nearly every frame gets; without a metatable, which what is not there would ask
    database = held.database, task = task, lease = parent.lease, parent = parent, level = parent.level + 1,
    block = nil, outside = nil, over = nil,
  }
  if parent.testing then -- nobody may see that it is none
    frame.isolation, frame.read_only = options and options.isolation, options and options.read_only
    return frame
  end
  local root = parent
  while root.parent and not root.parent.testing do
    root = root.parent
  end
  if options then
    if options.durable then
      errors.raise("durable", "a durable block cannot be inside another one: it must commit by itself")
    elseif options.isolation and options.isolation ~= root.isolation then
      errors.raise("durable", "a block inside a transaction cannot have an isolation of its own: " .. options.isolation
        .. " inside " .. (root.isolation or "the default"))
    elseif options.read_only and not root.read_only then
      errors.raise("durable", "a block inside a transaction that writes cannot be read-only")
    elseif options.deferrable and not root.deferrable then
      errors.raise("durable", "a block inside a transaction that is not deferrable cannot be it: its snapshot is there already")
    end
  end
  if root.read_only then
    frame.read_only = true
  end
  return frame
end

local function begun(frame, op, durable)
  local problem, record = control(frame, "BEGIN", op)
  return problem or durable and verdict.prepare(frame) or nil, record
end

-- A connection with a transaction begun on it: another one where the first was lost before BEGIN was sent.
local function start(frame, access, durable)
  local database = frame.database
  local attempt = 1
  while true do
    local lease = acquire(database, access)
    frame.lease = lease
    local op = lease:begin(frame.isolation, frame.read_only, frame.deferrable)
    if op == true and not (database.observers or durable or frame.task.stop) then
      return nil -- it goes with the next statement: nobody waits for it, and nobody hears of it
    end
    local ok, problem, record = pcall(begun, frame, op, durable)
    if ok and not problem then
      return record
    end
    lease:release()
    if not ok then
      return error(problem, 0)
    end
    tell(frame, record)
    local pause = holding.pause(database, problem, attempt)
    if not pause then
      return holding.fail(problem)
    end
    attempt = attempt + 1
    runtime.sleep(pause)
  end
end

--- Open a transaction of the calling task, or a savepoint where it has one on that database.
---@param options {isolation: string?, read_only: boolean?, deferrable: boolean?, durable: boolean?}?
---@param quiet boolean? no record is made of its statements
---@return moonpool.frame
--- Raises unsupported, pool and connection errors, busy, durable, concurrency, cancelled, not_yieldable.
function transaction.begin(database, options, quiet)
  if options then
    begin_options.check(database, options)
  end
  local task = check_wait()
  local locals = task.locals
  local session = task.session
  if session then
    session:before_frame(database)
  end
  local held = locals[database]
  local frame, problem, record
  if held and held.frame then
    frame = nested(held, task, options)
    if quiet then
      frame.quiet = true
    end
    if task.stop then
      runtime.check_cancelled()
    end
    local op = frame.lease:savepoint()
    if op ~= true or database.observers then
      -- waited for to its end: whether the savepoint is there must be known, or the next one to be undone is the wrong one
      problem, record = control(frame, "SAVEPOINT", op, true)
    end
    if problem then
      tell(frame, record)
      if problem.kind == "in_failed_transaction" then
        local err = errors.from_core(problem)
        err.cause = frame.parent.failure
        return error(err, 0)
      end
      return holding.fail(problem)
    end
  else
    if task.branch_of then
      holding.guard(database, task)
    end
    local access = options and options.read_only and "read" or "write"
    frame = {
      database = database, task = task, lease = nil, level = 0, abandon = abandon, block = nil, over = nil, kept = nil,
    }
    if quiet then
      frame.quiet = true
    end
    if options then
      frame.isolation, frame.read_only, frame.deferrable = options.isolation, options.read_only, options.deferrable
    end
    record = start(frame, access, options and options.durable)
    hold(database, frame.lease, access, "a transaction")
    watch(task, frame)
    held = open(database, task)
  end
  held.frame = frame
  if session then
    session:begun(frame)
  end
  local outside = locals[LATEST]
  if outside then
    frame.outside = outside
  end
  locals[LATEST] = frame
  if record then
    local ok, err = pcall(tell, frame, record)
    if not ok then
      try_beside(err, transaction.rollback, frame)
      return error(err, 0)
    end
  end
  return frame
end

-- Take the frame off the stack. Frames end in order within a database, but two databases may overlap.
local function leave(frame)
  frame.over = true
  local task, database = frame.task, frame.database
  local locals = task.locals
  if locals[LATEST] == frame then
    local outside = frame.outside
    while outside and outside.over do
      outside = outside.outside
    end
    locals[LATEST] = outside
  end
  local held = locals[database]
  held.frame = frame.parent
  if frame.parent == nil then
    unwatch(task, frame)
    holding.release(database, frame.lease)
    tidy(held)
  end
end

local function append(to, from)
  if to == nil then
    return from
  end
  for i = 1, #from do
    to[#to + 1] = from[i]
  end
  return to
end

-- The frame has ended. What the program wants to hear of it: the record, and hooks. All of them run; raises what the
-- first one raised.
local function run_hooks(frame, record, hooks)
  if not hooks then
    return tell(frame, record)
  end
  local attempts = errors.attempts()
  attempts:try(tell, frame, record)
  for _, hook in ipairs(hooks) do
    attempts:try(hook)
  end
  return attempts:raise()
end

local function restore_objects(frame)
  local before = frame.before
  if before then
    frame.before = nil
    transaction.restore(before)
  end
end

-- A block inside can only be suspended, in a generator, where the frame is a block that ends.
local function check_above(frame)
  local above = frame.task.locals[frame.database].frame
  while above ~= frame do
    if above.block and not frame.block then
      errors.raise("bad_argument", "a transaction cannot be ended while a block inside it runs")
    end
    above = above.parent
  end
end

-- End what stands above the frame and was ended by nobody: a savepoint goes the frame's way, a transaction is rolled
-- back, and so is a block. All of them, whatever one of them raises.
---@return string? lost what was rolled back although this frame may mean to commit
---@return table? problem in it, what the first one raised
local function unwind_to(frame, finish)
  local held = frame.task.locals[frame.database]
  local lost, problem
  if held.frame ~= frame then
    check_above(frame)
  end
  while held.frame ~= frame do
    local above = held.frame
    if not above.savepoint then
      lost = above.block and "a block in a generator that nobody finished" or "a transaction begun by hand that nobody ended"
    end
    local ok, err = pcall(above.savepoint and finish or transaction.rollback, above)
    if not ok and held.frame == above then
      return error(err, 0) -- it could not end
    elseif not ok and problem == nil then
      problem = { err }
    elseif not ok then
      errors.suppress(problem[1], err)
    end
  end
  return lost, problem
end

-- What ended the whole transaction is the cause of what fails in the frames around it, too.
local function pass_on_failure(frame)
  local parent, lease = frame.parent, frame.lease
  if parent and frame.failure and parent.failure == nil and (lease:over() or lease:state() == "broken") then
    parent.failure = frame.failure
  end
end

--- Roll the frame back, whatever its state. Its objects and hooks follow.
--- Raises what a hook raised, and a connection that was lost only where nothing else will tell.
---@return table? problem of the statement itself: the work is undone all the same
function transaction.rollback(frame)
  runtime.check_wait()
  local _, above = unwind_to(frame, transaction.rollback)
  local lease, problem, record = frame.lease, nil, nil
  if frame.parent == nil then
    if lease:over() or lease:state() == "none" then
      problem = nil -- lost, or ended by the server: nothing to undo
    else
      problem, record = control(frame, "ROLLBACK", lease:rollback(), true)
    end
  elseif not lease:over() then
    problem, record = control(frame, "ROLLBACK TO SAVEPOINT", lease:rollback_to(), true)
  end
  pass_on_failure(frame)
  leave(frame)
  restore_objects(frame)
  if frame.session then
    frame.session:undone(frame)
  end
  local ok, err = pcall(run_hooks, frame, record, frame.undone)
  if above then
    if not ok then
      errors.suppress(above[1], err)
    end
    return error(above[1], 0)
  elseif not ok then
    return error(err, 0)
  end
  return problem
end

--- Undo a transaction without waiting for it, in a coroutine that cannot (one that is being closed): the pool rolls it back.
--- Raises what a hook raised.
---@param frame moonpool.frame an outermost one
function transaction.drop(frame)
  local held = frame.task.locals[frame.database]
  local undone = {}
  repeat
    undone[#undone + 1] = held.frame
    leave(held.frame)
  until frame.over
  for _, each in ipairs(undone) do
    restore_objects(each)
    run_hooks(each, nil, each.undone)
  end
end

local function refuse_failed(frame, problem)
  local cause = frame.failure
  local err
  if problem.kind ~= "in_failed_transaction" then
    err = errors.from_core(problem)
  else
    local kind = cause and cause.kind or select(3, frame.lease:state()) -- a statement that was stopped raised no error here
    err = errors.new("in_failed_transaction", "the block was rolled back: a statement in it failed"
      .. (kind and " (" .. kind .. ")" or "")
      .. " and the error was caught inside; catch it around a nested mp.atomic to go on after it")
    err.retryable = cause and cause.retryable or false
  end
  if err.cause == nil and cause ~= err then
    err.cause = cause
  end
  return err
end

--- Whether the frame's transaction has failed, or is gone: it cannot be committed.
function transaction.is_failed(frame)
  return frame.lease:over() or frame.lease:state() ~= "open"
end

--- Commit the frame (release its savepoint). Waits for the outcome also when the task is cancelled.
--- Raises in_failed_transaction and what a commit can fail with; then everything is rolled back. Raises what an
--- on_commit hook raised, after all of them have run and with everything committed.
function transaction.commit(frame)
  local task, database = frame.task, frame.database
  if runtime.current() ~= task then
    holding.owned(frame, "a transaction")
  end
  if frame.over then
    return errors.raise("stale_handle", "the transaction was rolled back when its task ended")
  end
  check_wait()
  if task.stop then -- what the program asks for is not begun any more; what was begun is
    local ok, problem = pcall(transaction.rollback, frame)
    local _, cancelled = pcall(runtime.check_cancelled)
    if not ok then
      errors.suppress(cancelled, problem)
    end
    return error(cancelled, 0)
  end
  if frame.session then
    local ok, err = pcall(frame.session.before_release, frame.session, frame)
    if not ok then
      transaction.rollback(frame)
      return error(err, 0)
    end
  end
  local lost, above
  if task.locals[database].frame ~= frame then
    lost, above = unwind_to(frame, transaction.commit)
  end
  if above then -- a savepoint that nobody ended has failed
    local ok, err = pcall(transaction.rollback, frame)
    if not ok then
      errors.suppress(above[1], err)
    end
    return error(above[1], 0)
  elseif lost then
    transaction.rollback(frame)
    return errors.raise("in_failed_transaction", "the transaction was rolled back: inside it was " .. lost
      .. ", and what followed was part of that; end it with :commit() or :close(), or with mp.atomic")
  end
  local lease, parent = frame.lease, frame.parent
  local problem, record
  local op
  if parent then
    op = lease:release_savepoint()
  else
    op = lease:commit()
  end
  if op ~= true or database.observers then
    problem, record = control(frame, parent and "RELEASE SAVEPOINT" or "COMMIT", op, true)
  end
  if problem then
    local err = refuse_failed(frame, problem)
    if problem.kind == "commit_unknown" then
      local number = frame.number
      err.resolve = function()
        return verdict.of(database, number)
      end
      leave(frame)
      try_beside(err, tell, frame, record)
      return error(err, 0)
    end
    try_beside(err, transaction.rollback, frame)
    try_beside(err, tell, frame, record)
    return error(err, 0)
  end
  leave(frame)
  if parent then
    if frame.before then
      if parent.before == nil then
        parent.before = frame.before
      else
        for object, was in pairs(frame.before) do
          if parent.before[object] == nil then
            parent.before[object] = was
          end
        end
      end
    end
    if parent.testing then
      frame.kept = true
      return run_hooks(frame, record, frame.committed)
    end
    parent.committed = frame.committed and append(parent.committed, frame.committed) or parent.committed
    parent.undone = frame.undone and append(parent.undone, frame.undone) or parent.undone
    if record then
      return tell(frame, record)
    end
    return
  end
  if frame.before then
    frame.before = nil
  end
  frame.kept = true
  if record or frame.committed then
    return run_hooks(frame, record, frame.committed)
  end
end

--- Its task has ended, and the transaction has not: made by hand, or by a block inside a generator that nobody finished.
--- Raises concurrency in the second case, because the task's later work in that database was part of the block.
function abandon(self)
  local held = self.task.locals[self.database]
  local inside = held.frame
  local block = false
  while inside do
    block = block or inside.block or inside.testing
    inside.block = nil -- what it waits for will never come
    inside = inside.parent
  end
  local ok, err = pcall(transaction.rollback, self)
  if not self.over then
    leave(self)
  end
  if not ok then
    return error(err, 0)
  elseif block then
    return errors.raise("concurrency", "the task has ended inside a transaction's block, in a generator that nobody finished: "
      .. "all that it did in " .. tostring(self.database) .. " since that block began was rolled back; finish the generator, "
      .. "or load the rows first")
  end
end

--- How objects were before the frame's transaction writes them: what transaction.restore gets back.
---@return table<table, any>
function transaction.notes(frame)
  local before = frame.before
  if before == nil then
    before = setmetatable({}, weak_keys) -- what nobody else can see needs no putting right
    frame.before = before
  end
  return before
end

--- Note how an object was before the calling task's transaction on that database writes it.
---@param was any what transaction.restore gets back; not nil
function transaction.note(frame, object, was)
  local before = transaction.notes(frame)
  if before[object] == nil then
    before[object] = was
  end
end

--- The innermost frame of the calling task on a database, or on any. Inside a session there always is one.
---@return moonpool.frame?
function transaction.current(database)
  local task = runtime.current()
  local locals = task.locals
  local frame
  if database == nil then
    frame = locals[LATEST]
  else
    if task.session then
      task.session:enter(database)
    end
    frame = locals[database] and locals[database].frame
  end
  return frame and not frame.testing and frame or nil
end

--- The innermost frame that the calling task has on a database now; nothing is begun for the question.
---@return moonpool.frame?
function transaction.innermost(database)
  local held = runtime.current().locals[database]
  return held and held.frame
end

--- Run fn in a transaction of the database, or in a savepoint of the one that the task has there.
--- Raises what fn raises, after undoing all of it, and what a commit can fail with.
function transaction.whole(database, fn)
  local frame = transaction.begin(database)
  frame.block = true
  local ok, value, extra = pcall(fn)
  if ok then
    transaction.commit(frame)
    return value, extra
  end
  try_beside(value, transaction.rollback, frame)
  return error(value, 0)
end

--- Run fn in a transaction of the database, or in the one that the task has there.
--- Raises what fn raises, after undoing all of it, and what a commit can fail with.
function transaction.within(database, fn)
  if transaction.current(database) then
    return fn()
  end
  return transaction.whole(database, fn)
end

return transaction
