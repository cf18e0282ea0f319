package main

// plan is one of Alpenhost's own products.
type plan struct {
	Name, For, Price string
	Features         []string
	Best             bool
}

func plans() []plan {
	return []plan{
		{Name: "Alm", For: "A first site or a blog", Price: "€4.90", Features: []string{"10 GB NVMe storage", "1 domain included", "Daily backups", "Mail for 5 people"}},
		{Name: "Gipfel", For: "Shops and agencies", Price: "€12.90", Features: []string{"60 GB NVMe storage", "5 domains included", "Hourly backups", "Staging copy of each site"}, Best: true},
		{Name: "Gletscher", For: "A virtual server of your own", Price: "€24.90", Features: []string{"4 vCPU, 8 GB memory", "160 GB NVMe storage", "Snapshots at any time", "Root access"}},
		{Name: "Hütte", For: "Your hardware in our halls", Price: "€89.00", Features: []string{"2 rack units in Innsbruck", "500 W, 100% hydro power", "1 Gbit/s uplink", "Hands on site day and night"}},
	}
}
