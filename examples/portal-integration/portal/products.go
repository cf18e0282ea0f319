package main

import "strings"

// plan is one of Alpenhost's own products. What it is for and has stands in the texts, by its id.
type plan struct {
	ID, Name string
	Cents    int
	Best     bool
}

func plans() []plan {
	return []plan{
		{ID: "alm", Name: "Alm", Cents: 490},
		{ID: "gipfel", Name: "Gipfel", Cents: 1290, Best: true},
		{ID: "gletscher", Name: "Gletscher", Cents: 2490},
		{ID: "huette", Name: "Hütte", Cents: 8900},
	}
}

// For says whom a plan is for.
func (v view) For(p plan) string { return v.T("plan." + p.ID + ".for") }

// Features are what a plan has.
func (v view) Features(p plan) []string { return strings.Split(v.T("plan."+p.ID+".features"), "|") }
