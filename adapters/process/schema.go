package process

// withSchema describes Request.With.
const withSchema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Program",
  "type": "object",
  "additionalProperties": false,
  "required": ["program"],
  "properties": {
    "program": {
      "type": "string", "pattern": "^[a-z][a-z0-9_-]{0,39}$",
      "description": "One of the connection's programs."
    },
    "settings": {
      "type": "object", "maxProperties": 32,
      "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,31}$"},
      "additionalProperties": {"type": "string", "maxLength": 4096, "pattern": "^[^\\x00]*$"},
      "description": "What the program reads as HANSE_SETTING_<NAME>, the name in capitals."
    },
    "memory_mib": {
      "type": "integer", "minimum": 0, "maximum": 1048576,
      "description": "Limit of the program's writable memory (RLIMIT_DATA), 0 for none; notes needs 256. Default: the connection's."
    }
  }
}`

// ConnectionSchema describes Connection.Config.
const ConnectionSchema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Programs on this machine",
  "type": "object",
  "additionalProperties": false,
  "required": ["data_dir", "programs"],
  "properties": {
    "data_dir": {
      "type": "string", "format": "path", "pattern": "^/[^\\x00]*$",
      "description": "Folder for the subscriptions' data. Outside dev mode every user must be able to walk to it (o+x)."
    },
    "programs": {
      "type": "object", "minProperties": 1,
      "propertyNames": {"pattern": "^[a-z][a-z0-9_-]{0,39}$"},
      "additionalProperties": {
        "type": "object", "additionalProperties": false, "required": ["command"],
        "properties": {
          "command": {
            "type": "string", "format": "path", "pattern": "^(/[^\\x00]*|self:[a-z][a-z0-9-]*)$",
            "description": "A path, or self:NAME for a program inside the hanse binary (self:notes)."
          },
          "args": {
            "type": "array", "maxItems": 64, "items": {"type": "string", "maxLength": 4096, "pattern": "^[^\\x00]*$"},
            "description": "Arguments; {tag} {bind} {port} {url} {data} {password_file} are replaced."
          }
        }
      },
      "description": "What may run, by name."
    },
    "bind": {"type": "string", "minLength": 1, "default": "127.0.0.1", "description": "The IP address on which programs listen."},
    "port_from": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "First port to give; default any free one."},
    "port_to": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "Last port to give."},
    "public_url": {
      "type": "string", "pattern": "^https?://[^/?#\\s]+/?$", "default": "http://{bind}:{port}",
      "description": "What customers open; {tag} {bind} {port} are replaced. A name for each, as in https://{tag}.apps.example, keeps browsers from mixing the programs' cookies."
    },
    "dev": {"type": "boolean", "default": false, "description": "All programs run as the sidecar's own user."},
    "uid_base": {
      "type": "integer", "minimum": 1000, "maximum": 4294900000,
      "description": "First user id to give; needed outside dev mode. Each subscription gets one for itself: nothing else on the machine may use the range."
    },
    "uid_count": {"type": "integer", "minimum": 1, "maximum": 1000000, "default": 10000},
    "ready_seconds": {"type": "integer", "minimum": 1, "maximum": 3600, "default": 30, "description": "How long a program may take until GET /healthz answers 200."},
    "stop_seconds": {"type": "integer", "minimum": 0, "maximum": 600, "default": 5, "description": "Between SIGTERM and SIGKILL."},
    "memory_mib": {"type": "integer", "minimum": 0, "maximum": 1048576, "default": 0, "description": "Default limit of writable memory; 0 is none."},
    "open_files": {"type": "integer", "minimum": 16, "maximum": 1048576, "default": 1024},
    "processes": {"type": "integer", "minimum": 8, "maximum": 1048576, "default": 256, "description": "Processes and threads per subscription; not in dev mode, where they share a user."},
    "log_max_mib": {"type": "integer", "minimum": 1, "maximum": 10240, "default": 10, "description": "A longer log starts over."}
  }
}`
