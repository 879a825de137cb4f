-- The package index of a Debian machine in a database, and what it tells.
--
--   moonpool examples/packages.lua [--database FILE|URL] [INDEX]
--
-- The database is a file of SQLite, or any other by its URL: the output is the same.
-- Reads apt's lists (plain, .lz4, .gz or .xz), or the index named on the command line, or, where apt has no
-- list, dpkg's status file. Fills four entities in one transaction, then runs its reports concurrently. Broken
-- or truncated input ends with the file and the line, exit code 1, and leaves the database as it was.

local mp = require "moonpool"
local f = mp.field

local Section = mp.entity("Section", { name = f.string{ max = 100, unique = true } })
local Maintainer = mp.entity("Maintainer", { name = f.string{ max = 700, unique = true } })

local Package = mp.entity("Package", {
  name = f.string{ max = 200 },
  version = f.string{ max = 200 },
  architecture = f.string{ max = 40 },
  section = f.belongs_to("Section", { null = true, inverse = "packages", on_delete = "cascade" }),
  maintainer = f.belongs_to("Maintainer", { null = true, inverse = "packages", on_delete = "cascade" }),
  installed_kib = f.bigint{ default = 0, min = 0 },
  summary = f.text{ default = "" },
}, { indexes = { { "name", "version", "architecture", unique = true } } })

-- `a (>= 1) | b` at place 3 is two rows with place 3, choices 1 and 2; the first has a bound.
local Dependency = mp.entity("Dependency", {
  package = f.belongs_to("Package", { inverse = "dependencies", on_delete = "cascade" }),
  kind = f.enum{ "Pre-Depends", "Depends" },
  place = f.integer{ min = 1 },
  choice = f.integer{ min = 1 },
  target = f.string{ max = 200, index = true },
  qualifier = f.string{ max = 40, null = true }, -- the `any` of `python3:any`
  relation = f.enum{ "<<", "<=", "=", ">=", ">>", null = true },
  bound = f.string{ max = 200, null = true },
})

---------------------------------------------------------------- where the input is

local function quoted(path)
  return "'" .. path:gsub("'", "'\\''") .. "'"
end

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do
    lines[#lines + 1] = line
  end
  pipe:close()
  return lines
end

local function exists(path)
  local file = io.open(path, "rb")
  return file ~= nil and file:close()
end

-- apt says where its lists are; partial downloads lie in a folder below.
local function apt_lists()
  local folder = lines_of("apt-config shell lists Dir::State::lists/f 2>/dev/null")[1]
  folder = folder and folder:match("='(.*)'$") or "/var/lib/apt/lists"
  return lines_of("find " .. quoted(folder) .. " -maxdepth 1 -type f"
    .. " \\( -name '*_Packages' -o -name '*_Packages.lz4' -o -name '*_Packages.gz' -o -name '*_Packages.xz' \\)"
    .. " 2>/dev/null | LC_ALL=C sort")
end

local CAT = "/usr/lib/apt/apt-helper cat-file "

-- An iterator over the lines of a file, each with its "\n"; closing says whether all of it was readable.
local function open_index(path)
  if not exists(path) then
    error(path .. ":0: cannot be opened", 0)
  end
  if not path:match("%.lz4$") and not path:match("%.gz$") and not path:match("%.xz$") then
    return assert(io.open(path, "rb"))
  end
  return assert(io.popen(CAT .. quoted(path) .. " 2>/dev/null", "r"))
end

---------------------------------------------------------------- what it says

local function stop(path, line, what)
  error(("%s:%d: %s"):format(path, line, what), 0)
end

-- "libc6:any (>= 2.34) [amd64]" -> target, qualifier, relation, bound
local function parse_choice(text)
  local target, rest = text:match("^%s*([%w][%w+.-]*)(.-)%s*$")
  if not target then
    return nil
  end
  local qualifier, after = rest:match("^:([%w-]+)(.*)$")
  rest = after or rest
  local relation, bound
  if rest:match("%(") then
    relation, bound, rest = rest:match("^%s*%(%s*([<>=]+)%s*([^%s()]+)%s*%)(.*)$")
    if relation == "<" or relation == ">" then
      relation = relation .. "=" -- what dpkg makes of the obsolete spelling
    end
    if not relation or not (relation == "=" or relation:match("^[<>][<>=]$")) or relation == "<>" or relation == "><" then
      return nil
    end
  end
  if not rest:match("^%s*$") and not rest:match("^%s*%[[^%]]*%]%s*$") then
    return nil
  end
  return { target = target, qualifier = qualifier, relation = relation, bound = bound }
end

local function parse_dependencies(kind, text, fail)
  local found, place = {}, 0
  for group in (text .. ","):gmatch("([^,]*),") do
    place = place + 1
    local choice = 0
    for part in (group .. "|"):gmatch("([^|]*)|") do
      choice = choice + 1
      local dependency = parse_choice(part)
      if not dependency then
        fail(("%s: cannot read %q"):format(kind, part))
      end
      dependency.kind, dependency.place, dependency.choice = kind, place, choice
      found[#found + 1] = dependency
    end
  end
  return found
end

local WANTED = {
  Package = true, Version = true, Architecture = true, Section = true, Maintainer = true, Description = true,
  ["Installed-Size"] = true, Depends = true, ["Pre-Depends"] = true, Status = true,
}

-- Calls take(package) for each paragraph of an index. A paragraph is { fields, lines }: lines[field] is its line.
local function read_index(path, take, progress)
  local file <close> = open_index(path)
  local number, fields, lines, field = 0, {}, {}, nil
  local everywhere -- the fields that every paragraph so far had: a truncated last one lacks some
  local text

  local function finish(ended_by_empty_line)
    if next(lines) == nil then
      return
    end
    for _, name in ipairs{ "Package", "Version", "Architecture" } do
      -- dpkg keeps a paragraph without version of a package that it no longer has
      if not fields[name] and not (fields.Status and not fields.Status:match(" installed$")) then
        stop(path, number, ("the paragraph of %s ends without the field %s"):format(fields.Package or "?", name))
      end
    end
    for name in pairs(everywhere or {}) do
      if not lines[name] then
        if not ended_by_empty_line then
          stop(path, number, ("truncated: the last paragraph (%s) lacks %s"):format(fields.Package, name))
        end
        everywhere[name] = nil
      end
    end
    if not everywhere then
      everywhere = {}
      for name in pairs(lines) do
        everywhere[name] = true
      end
    end
    if not fields.Status or fields.Status:match(" installed$") then
      local package = {
        name = fields.Package, version = fields.Version, architecture = fields.Architecture,
        section = fields.Section, maintainer = fields.Maintainer, summary = fields.Description or "",
        installed_kib = 0, dependencies = {},
      }
      if fields["Installed-Size"] then
        package.installed_kib = fields["Installed-Size"]:match("^%d+$") and math.tointeger(fields["Installed-Size"])
          or stop(path, lines["Installed-Size"], "Installed-Size is not a number")
      end
      for _, kind in ipairs{ "Pre-Depends", "Depends" } do
        if fields[kind] then
          local found = parse_dependencies(kind, fields[kind], function(what)
            stop(path, lines[kind], what)
          end)
          table.move(found, 1, #found, #package.dependencies + 1, package.dependencies)
        end
      end
      take(package)
    end
    fields, lines, field = {}, {}, nil
  end

  for line in file:lines("L") do
    number = number + 1
    progress(#line)
    text = line
    if line == "\n" then
      finish(true)
    elseif line:byte(-1) ~= 10 then
      stop(path, number, "truncated: the last line has no end")
    elseif not utf8.len(line) then
      stop(path, number, "not valid UTF-8")
    elseif line:find("^[ \t]") then
      if not field then
        stop(path, number, "a continuation line without a field")
      end
      if WANTED[field] and field ~= "Description" then
        fields[field] = fields[field] .. " " .. line:match("^%s+(.-)%s*$")
      end
    else
      local colon = line:find(":", 1, true)
      local name = colon and line:sub(1, colon - 1)
      if not name or name == "" or name:find("[^!-~]") then
        stop(path, number, ("neither a field nor an empty line: %q"):format(line:sub(1, 40)))
      end
      if lines[name] then
        stop(path, number, ("the field %s twice in one paragraph"):format(name))
      end
      field, lines[name] = name, number
      if WANTED[name] then
        fields[name] = line:match("^[ \t]*(.-)[ \t]*\n$", colon + 1)
      end
    end
  end
  finish(text == "\n")
  if number == 0 then
    stop(path, 0, "is empty or cannot be read")
  end
  local readable, _, code = file:close()
  if not readable then
    stop(path, number, ("truncated or damaged: reading it failed with code %s"):format(code))
  end
end

---------------------------------------------------------------- into the database

local BATCH = 2000

-- A function that gives the key of the row of entity with that name, made when it is new.
local function keys_by_name(entity)
  local keys = {}
  return function(name)
    if name and not keys[name] then
      keys[name] = entity:create{ name = name }.id
    end
    return name and keys[name]
  end
end

local function load_all(paths, progress)
  local seen, batch, total = {}, {}, { packages = 0, dependencies = 0 }
  local section_key, maintainer_key = keys_by_name(Section), keys_by_name(Maintainer)

  local function write()
    local rows = {}
    for i, package in ipairs(batch) do
      rows[i] = {
        name = package.name, version = package.version, architecture = package.architecture,
        section_id = section_key(package.section), maintainer_id = maintainer_key(package.maintainer),
        installed_kib = package.installed_kib, summary = package.summary,
      }
    end
    local dependencies = {}
    for i, saved in ipairs(Package:bulk_create(rows)) do
      for _, dependency in ipairs(batch[i].dependencies) do
        dependency.package_id = saved.id
        dependencies[#dependencies + 1] = dependency
      end
    end
    Dependency:bulk_create(dependencies, { returning = false })
    total.packages = total.packages + #batch
    total.dependencies = total.dependencies + #dependencies
    batch = {}
  end

  for _, path in ipairs(paths) do
    read_index(path, function(package)
      local identity = package.name .. "\0" .. package.version .. "\0" .. package.architecture
      if not seen[identity] then -- two lists may name the same package
        seen[identity] = true
        batch[#batch + 1] = package
        if #batch == BATCH then
          write()
        end
      end
    end, progress)
  end
  write()
  return total
end

-- A bar on standard error when that is a terminal, else nothing.
local function progress_bar(paths)
  if not os.execute("test -t 2") then
    return function() end, function() end
  end
  local total, done, shown = 0, 0, -1
  for _, path in ipairs(paths) do
    total = total + (tonumber(lines_of((path:match("%.%wz%w?$") and CAT or "cat ") .. quoted(path) .. " 2>/dev/null | wc -c")[1]) or 0)
  end
  return function(bytes)
    done = done + bytes
    local percent = total > 0 and done * 100 // total or 0
    if percent ~= shown then
      shown = percent
      io.stderr:write(("\r[%-50s] %3d %%"):format(("#"):rep(percent // 2), percent))
    end
  end, function()
    io.stderr:write("\r", (" "):rep(60), "\r")
  end
end

---------------------------------------------------------------- the reports

-- Columns are as wide as their widest cell; numbers stand right.
local function print_table(title, names, rows)
  local widths, right = {}, {}
  for i, name in ipairs(names) do
    widths[i] = utf8.len(name)
    right[i] = rows[1] ~= nil and type(rows[1][i]) == "number"
    for _, row in ipairs(rows) do
      widths[i] = math.max(widths[i], utf8.len(tostring(row[i])))
    end
  end
  local function line(cells)
    local out = {}
    for i, cell in ipairs(cells) do
      local space = (" "):rep(widths[i] - utf8.len(tostring(cell)))
      out[i] = right[i] and space .. tostring(cell) or tostring(cell) .. space
    end
    return (table.concat(out, "  "):gsub("%s+$", ""))
  end
  print()
  print(title)
  print(line(names))
  for _, row in ipairs(rows) do
    print(line(row))
  end
end

-- Each aggregate over a relation counts by itself: one does not multiply the other.
local function largest_sections()
  local rows = {}
  local sections = Section:annotate{ n = mp.fn.count("packages"), kib = mp.fn.sum("packages__installed_kib") }
  for i, section in ipairs(sections:order_by("-n", "name"):limit(10):all()) do
    rows[i] = { section.name, section.n, section.kib // 1024 }
  end
  return { "Largest sections", { "section", "packages", "MiB installed" }, rows }
end

local function most_depended_on()
  local rows = {}
  local groups = Dependency:values("target"):annotate{ packages = mp.fn.count("package_id", { distinct = true }) }
  for _, row in ipairs(groups:order_by("-packages", "target"):limit(10):all()) do
    rows[#rows + 1] = { row.target, row.packages }
  end
  return { "Most depended-on packages", { "package", "needed by" }, rows }
end

local function busiest_maintainers()
  local rows = {}
  local maintainers = Maintainer:annotate{ n = mp.fn.count("packages") }
  for i, maintainer in ipairs(maintainers:order_by("-n", "name"):limit(10):all()) do
    rows[i] = { maintainer.name, maintainer.n }
  end
  return { "Maintainers", { "maintainer", "packages" }, rows }
end

-- Three statements at most, however many packages: theirs with the section, and one for the first dependencies of all of them.
local function heaviest_packages()
  local rows = {}
  local first_needed = Dependency:filter{ choice = 1 }:order_by("kind", "place"):limit(3)
  local heaviest = Package:order_by("-installed_kib", "name", "version", "architecture"):limit(10)
    :select_related("section"):prefetch(mp.prefetch("dependencies", first_needed))
  for i, package in ipairs(heaviest:all()) do
    local needed = {}
    for place, dependency in ipairs(package.dependencies:all()) do
      needed[place] = dependency.target
    end
    rows[i] = { package.name, package.section and package.section.name or "", package.installed_kib // 1024,
      table.concat(needed, " ") }
  end
  return { "Heaviest packages", { "package", "section", "MiB installed", "needs first" }, rows }
end

-- From the package with the most dependencies to one that is as far away as possible, by shortest steps over
-- first choices. Breadth first: one query for each level (in chunks), names in order, so that ties go to the first name.
local function dependency_chain()
  local start = Dependency:filter{ choice = 1 }:values("package__name"):annotate{ n = mp.fn.count() }
    :order_by("-n", "package__name"):first()
  if not start then
    return { "A dependency chain", { "step", "package", "because of" }, {} }
  end
  local from, level, last = { [start.package__name] = false }, { start.package__name }, start.package__name
  while #level > 0 do
    last = level[1]
    local reached = {}
    for first = 1, #level, 500 do
      local names = table.move(level, first, math.min(first + 499, #level), 1, {})
      local found = Dependency:filter{ choice = 1, package__name__in = names }
        :values_list("package__name", "target"):distinct():order_by("package__name", "target"):all()
      for _, row in ipairs(found) do
        local parent, target = row[1], row[2]
        if from[target] == nil then
          from[target] = parent
          reached[#reached + 1] = target
        end
      end
    end
    table.sort(reached)
    level = reached
  end
  local chain = {}
  while last do
    table.insert(chain, 1, last)
    last = from[last]
  end
  local rows = {}
  for step, name in ipairs(chain) do
    rows[step] = { step, name, chain[step - 1] or "" }
  end
  return { "A dependency chain", { "step", "package", "because of" }, rows }
end

---------------------------------------------------------------- the program

local database, index = "packages.db", nil
do
  local i = 1
  while arg[i] do
    if arg[i] == "--database" and arg[i + 1] then
      database, i = arg[i + 1], i + 1
    elseif arg[i]:match("^%-") or index then
      io.stderr:write("usage: moonpool examples/packages.lua [--database FILE|URL] [INDEX]\n")
      os.exit(2, true)
    else
      index = arg[i]
    end
    i = i + 1
  end
end

local paths = index and { index } or apt_lists()
if #paths == 0 then
  paths = { "/var/lib/dpkg/status" }
  print("apt has no package list here: reading " .. paths[1] .. ", which knows the installed packages only")
end

local is_file = not database:find("^%a[%w+]*:")
local is_new = is_file and not exists(database)
mp.configure(is_file and { dialect = "sqlite", database = database } or database)

local tick, clear = progress_bar(paths)
local had_tables
local total, err = mp.try(function()
  had_tables = mp.db():reflect().package ~= nil
  mp.db():create_all()
  return mp.atomic(function()
    for _, entity in ipairs{ Dependency, Package, Maintainer, Section } do
      entity:all_rows():delete()
    end
    return load_all(paths, tick)
  end)
end)
clear()
if not total then
  if had_tables == false then
    mp.try(mp.db().drop_all, mp.db())
  end
  mp.close_all()
  if is_new then
    for _, suffix in ipairs{ "", "-wal", "-shm" } do
      os.remove(database .. suffix)
    end
  end
  io.stderr:write(tostring(err), "\n")
  os.exit(1, true)
end

print(("%d packages with %d dependencies in %d sections by %d maintainers"):format(
  total.packages, total.dependencies, Section:count(), Maintainer:count()))
for _, report in ipairs{ mp.gather(largest_sections, most_depended_on, busiest_maintainers, heaviest_packages, dependency_chain) } do
  print_table(table.unpack(report))
end

-- prints:
-- ...
-- Largest sections
-- ...
-- Most depended-on packages
-- ...
-- Maintainers
-- ...
-- Heaviest packages
-- ...
-- A dependency chain
-- ...
