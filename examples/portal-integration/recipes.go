package main

import "fmt"

// workspace is the recipe of the notebook that comes with the process adapter. Its plans are
// prices for houses of different sizes; the program is the same.
func workspace(plan) recipe {
	return recipe{
		Inputs: &schema{
			required: []string{"title", "readers"},
			properties: []property{
				{"title", map[string]any{
					"type": "string", "title": "Name of the workspace", "minLength": 2, "maxLength": 60, "pattern": `^\S(.*\S)?$`,
					"description": "Stands at the top of every page.",
				}},
				{"readers", map[string]any{
					"type": "string", "title": "For whom", "enum": []string{"everyone", "operations", "sales", "support"}, "default": "everyone",
					"description": "Follows the name, so that people see whether they are in the right place.",
				}},
			},
		},
		Outputs: &schema{
			required: []string{"url", "password"},
			properties: []property{
				{"url", map[string]any{"type": "string", "title": "Address"}},
				{"password", map[string]any{"type": "string", "title": "Password", "format": "password"}},
			},
		},
		Step: step{Adapter: "process", Connection: "programs", With: map[string]any{
			"program":  "notes",
			"settings": map[string]any{"title": "${inputs.title} (${inputs.readers})"},
		}},
	}
}

// database is the recipe of a database on the server that connection "databases" names.
func database(p plan) recipe {
	limits := []any{}
	for _, n := range []int{2, 5, 10, 20, 50, 100} {
		if n <= p.limit {
			limits = append(limits, n)
		}
	}
	return recipe{
		Inputs: &schema{
			required: []string{"label", "environment"},
			properties: []property{
				{"label", map[string]any{
					"type": "string", "title": "Label", "minLength": 2, "maxLength": 31, "pattern": "^[a-z][a-z0-9-]*$",
					"description": "Your own short name for this database: lower-case letters, digits and hyphens.",
				}},
				{"environment", map[string]any{
					"type": "string", "title": "Used for", "enum": []string{"production", "staging", "development"},
					"description": "Tells our support what an outage means to you.",
				}},
				{"connections", map[string]any{
					"type": "integer", "title": "Connections at a time", "enum": limits, "default": p.limit,
					"description": fmt.Sprintf("The server refuses more. This plan allows up to %d; fewer protect you from a runaway program.", p.limit),
				}},
			},
		},
		Outputs: &schema{
			required: []string{"connection_url", "host", "port", "database", "username", "password"},
			properties: []property{
				{"connection_url", map[string]any{"type": "string", "title": "Connection string", "format": "password"}},
				{"host", map[string]any{"type": "string", "title": "Host"}},
				{"port", map[string]any{"type": "string", "title": "Port"}},
				{"database", map[string]any{"type": "string", "title": "Database"}},
				{"username", map[string]any{"type": "string", "title": "User name"}},
				{"password", map[string]any{"type": "string", "title": "Password", "format": "password"}},
			},
		},
		Step: step{Adapter: "postgres", Connection: "databases", With: map[string]any{"connection_limit": "${inputs.connections}"}},
	}
}
