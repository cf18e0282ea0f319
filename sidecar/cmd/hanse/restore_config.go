package main

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// settled is a configuration in which what was restored is found beside it, wherever that was before. All else is as it was, and so are
// its bytes where that says nothing else.
func settled(raw []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("the configuration in it: %w", err)
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return raw, nil
	}
	top, changed := doc.Content[0], false
	if at := valueOf(top, "data_dir"); at == nil || at.Value != "data" {
		changed = true
		if at == nil {
			top.Content = append(top.Content, scalar("data_dir"), scalar("data"))
		} else {
			at.SetString("data")
		}
	}
	changed = without(top, "site_key_file") || changed
	if database := valueOf(top, "database"); database != nil {
		if driver := valueOf(database, "driver"); driver == nil || driver.Value != "postgres" {
			changed = without(database, "dsn") || changed
			changed = without(database, "dsn_file") || changed
		}
	}
	if !changed {
		return raw, nil
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(&doc); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}

func scalar(value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: value} }

func valueOf(mapping *yaml.Node, key string) *yaml.Node {
	if mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func without(mapping *yaml.Node, key string) bool {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content = append(mapping.Content[:i:i], mapping.Content[i+2:]...)
			return true
		}
	}
	return false
}
