package postgres

// withSchema describes Request.With.
const withSchema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "PostgreSQL database",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "connection_limit": {
      "type": "integer", "minimum": 1, "maximum": 1000, "default": 20,
      "description": "How many connections the customer may have open at a time."
    }
  }
}`

// ConnectionSchema describes Connection.Config.
const ConnectionSchema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "PostgreSQL server",
  "type": "object",
  "additionalProperties": false,
  "required": ["user"],
  "properties": {
    "host": {
      "type": "string", "minLength": 1, "maxLength": 253, "default": "127.0.0.1",
      "description": "Where the sidecar reaches the server: a name, an address, or the absolute path of a socket folder."
    },
    "port": {"type": "integer", "minimum": 1, "maximum": 65535, "default": 5432},
    "user": {
      "type": "string", "minLength": 1, "maxLength": 63,
      "description": "A role with CREATEDB and CREATEROLE; it need not be superuser."
    },
    "password": {"type": "string", "writeOnly": true, "description": "Prefer password_file."},
    "password_file": {"type": "string", "format": "path", "minLength": 1, "description": "A file that holds the password; read at each use."},
    "database": {
      "type": "string", "minLength": 1, "maxLength": 63, "default": "postgres",
      "description": "The database from which the others are managed."
    },
    "tls": {
      "enum": ["disable", "require", "verify-ca", "verify-full"],
      "description": "How the sidecar speaks to the server; default verify-full, on loopback and sockets disable."
    },
    "tls_ca_file": {"type": "string", "format": "path", "minLength": 1, "description": "PEM certificates that sign the server's; default the system's."},
    "public_host": {"type": "string", "minLength": 1, "maxLength": 253, "description": "The host in what customers receive; default host."},
    "public_port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "Default port."},
    "public_tls": {
      "enum": ["disable", "require", "verify-ca", "verify-full"],
      "description": "The sslmode in the address that customers receive; default the value of tls."
    }
  }
}`
