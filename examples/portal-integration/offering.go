package main

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// offering is one YAML document of `hanse offering apply -f`.
type offering struct {
	APIVersion     string   `yaml:"apiVersion"`
	Kind           string   `yaml:"kind"`
	ID             string   `yaml:"id"`
	Name           string   `yaml:"name"`
	Summary        string   `yaml:"summary"`
	Description    string   `yaml:"description"`
	Category       string   `yaml:"category"`
	Family         string   `yaml:"family"`
	Plan           string   `yaml:"plan"`
	Region         string   `yaml:"region"`
	Country        string   `yaml:"country"`
	Certifications []string `yaml:"certifications,omitempty,flow"`
	Currency       string   `yaml:"currency"`
	State          string   `yaml:"state"`
	Prices         []price  `yaml:"prices"`
	Recipe         recipe   `yaml:"recipe"`
}

type price struct {
	ID     string `yaml:"id"`
	Name   string `yaml:"name"`
	Kind   string `yaml:"kind"`
	Period string `yaml:"period,omitempty"`
	Unit   string `yaml:"unit,omitempty"`
	Amount string `yaml:"amount,omitempty"`
	Tiers  []tier `yaml:"tiers,omitempty"`
}

type tier struct {
	UpTo   int64  `yaml:"up_to,omitempty"`
	Amount string `yaml:"amount"`
}

type recipe struct {
	Inputs  *schema `yaml:"inputs,omitempty"`
	Outputs *schema `yaml:"outputs,omitempty"`
	Step    step    `yaml:"step"`
}

type step struct {
	Adapter    string            `yaml:"adapter"`
	Connection string            `yaml:"connection,omitempty"`
	With       map[string]any    `yaml:"with,omitempty"`
	Outputs    map[string]string `yaml:"outputs,omitempty"`
}

// schema is a JSON Schema of an object whose properties keep their order: it is the order of the form.
type schema struct {
	properties []property
	required   []string
}

type property struct {
	name string
	rule map[string]any
}

// MarshalYAML writes the properties in their order, which a map would lose.
func (s *schema) MarshalYAML() (any, error) {
	props := &yaml.Node{Kind: yaml.MappingNode}
	for _, p := range s.properties {
		value := &yaml.Node{}
		if err := value.Encode(p.rule); err != nil {
			return nil, err
		}
		props.Content = append(props.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: p.name}, value)
	}
	return struct {
		Type       string     `yaml:"type"`
		Additional bool       `yaml:"additionalProperties"`
		Required   []string   `yaml:"required,omitempty,flow"`
		Properties *yaml.Node `yaml:"properties"`
	}{"object", false, s.required, props}, nil
}

// A family is a line of products: each of its plans in each of its regions is one offering.
type family struct {
	id, name, category string
	// orderable is true only where an adapter of this build delivers what the text says.
	orderable            bool
	summary, description string
	regions              []region
	plans                []plan
	usage                []price
	certifications       []string
	recipe               func(plan) recipe
}

type region struct {
	id, city, country string
}

// A plan is one size of a family.
type plan struct {
	id, name string
	// size says in words what the plan holds; texts refer to it as {size}.
	size string
	// setup is owed once, monthly each month, in the catalog's currency; "" is nothing.
	setup, monthly string
	// limit is how many connections a database takes.
	limit int
}

// offerings spells a family out. The same family gives the same bytes each time.
func (f family) offerings(currency string) []offering {
	var all []offering
	for _, p := range f.plans {
		for _, r := range f.regions {
			text := strings.NewReplacer("{plan}", p.name, "{size}", p.size, "{city}", r.city)
			o := offering{
				APIVersion: "hanse/v1", Kind: "Offering",
				ID:             fmt.Sprintf("%s-%s-%s", f.id, p.id, r.id),
				Name:           fmt.Sprintf("%s %s, %s", f.name, p.name, r.city),
				Summary:        text.Replace(f.summary),
				Description:    text.Replace(f.description),
				Category:       f.category,
				Family:         f.name,
				Plan:           p.name,
				Region:         r.id,
				Country:        r.country,
				Certifications: f.certifications,
				Currency:       currency,
				State:          "announced",
				Prices:         p.prices(f.usage),
				Recipe:         recipe{Step: step{Adapter: "planned"}},
			}
			if f.orderable {
				o.State = "orderable"
			}
			if f.recipe != nil {
				o.Recipe = f.recipe(p)
			}
			all = append(all, o)
		}
	}
	return all
}

func (p plan) prices(usage []price) []price {
	var all []price
	if p.setup != "" {
		all = append(all, price{ID: "setup", Name: "Setup", Kind: "one_off", Amount: p.setup})
	}
	if p.monthly != "" {
		all = append(all, price{ID: "base", Name: "Base fee", Kind: "recurring", Period: "P1M", Amount: p.monthly})
	}
	return append(all, usage...)
}

// writeYAML writes one document per offering.
func writeYAML(all []offering) ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	for _, o := range all {
		if err := enc.Encode(o); err != nil {
			return nil, fmt.Errorf("offering %s: %w", o.ID, err)
		}
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
