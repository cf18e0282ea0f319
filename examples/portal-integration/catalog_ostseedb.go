package main

// ostseedb is what OstseeDB of Sweden sells, in SEK. Runbooks are what the process adapter delivers, databases what the
// postgres adapter does: without a server they are announced only.
func ostseedb(postgres bool) []offering {
	sto := region{"se-sto1", "Stockholm", "SE"}
	got := region{"se-got1", "Gothenburg", "SE"}
	hel := region{"fi-hel1", "Helsinki", "FI"}
	ham := region{"de-ham1", "Hamburg", "DE"}
	cph := region{"dk-cph1", "Copenhagen", "DK"}
	gdn := region{"pl-gdn1", "Gdańsk", "PL"}
	home, all := []region{sto, got}, []region{sto, got, hel, ham, cph, gdn}
	some := []region{sto, hel, ham}
	iso := []string{"ISO 27001", "ISO 27018"}
	audited := []string{"ISO 27001", "ISO 27017", "ISO 27018", "C5", "SOC 2"}
	stored := price{ID: "stored", Name: "Database size", Kind: "usage", Unit: "GiB-month", Tiers: []tier{
		{UpTo: 5, Amount: "0"}, {UpTo: 100, Amount: "2.45"}, {Amount: "1.95"},
	}}
	backup := price{ID: "copies", Name: "Stored copies", Kind: "usage", Unit: "GiB-month", Amount: "0.38"}

	families := []family{
		{
			id: "postgresql", name: "PostgreSQL", category: "Databases", orderable: postgres, recipe: database,
			summary: "A PostgreSQL database in {city} with up to {size}; support on working days.",
			description: "A database and a role of your own on a server that we run and patch. Other customers' databases are out of reach for you, and " +
				"yours for them.\n\n" +
				"{plan} allows {size}. Create schemas, tables and indexes as you like: the database belongs to your role. You receive " +
				"host, port, names, a password and a ready connection string within seconds; a lost password is replaced, not resent.\n\n" +
				"Questions are answered by mail on working days from 8 to 17 in Stockholm.",
			regions: all, certifications: audited, usage: []price{stored},
			plans: []plan{
				{id: "s", name: "S", size: "5 connections", monthly: "59.00", limit: 5},
				{id: "m", name: "M", size: "20 connections", monthly: "149.00", limit: 20},
				{id: "l", name: "L", size: "50 connections", setup: "250.00", monthly: "349.00", limit: 50},
				{id: "xl", name: "XL", size: "100 connections", setup: "250.00", monthly: "690.00", limit: 100},
			},
		},
		{
			id: "postgresql-night", name: "PostgreSQL with night watch", category: "Databases", orderable: postgres, recipe: database,
			summary: "A PostgreSQL database in {city} with up to {size}; somebody is awake at all hours.",
			description: "The same database as our PostgreSQL, for systems that may not wait for the morning: a duty engineer answers the telephone at " +
				"any hour and within thirty minutes.\n\n" +
				"{plan} allows {size}. The database belongs to a role of yours on a server that we run and patch, out of reach for other customers.",
			regions: all, certifications: audited, usage: []price{stored},
			plans: []plan{
				{id: "m", name: "M", size: "20 connections", setup: "500.00", monthly: "890.00", limit: 20},
				{id: "l", name: "L", size: "50 connections", setup: "500.00", monthly: "1190.00", limit: 50},
				{id: "xl", name: "XL", size: "100 connections", setup: "500.00", monthly: "1690.00", limit: 100},
			},
		},
		{
			id: "runbook", name: "Runbook", category: "Collaboration", orderable: true, recipe: workspace,
			summary: "A private workspace in {city} for what to do when the database is on fire, for {size}.",
			description: "Restores, failovers and key changes go wrong when they are done from memory. A runbook workspace keeps the steps where you find them " +
				"when your own systems are down: with us, behind one address and one password.\n\n" +
				"It is a program that runs for you alone; entries are notes and checklists, readable in the browser and over a JSON API. " +
				"{plan} is meant for {size}.",
			regions: all, certifications: iso,
			plans: []plan{
				{id: "duty", name: "Duty", size: "one duty rota", monthly: "39.00"},
				{id: "house", name: "House", size: "all teams of a house", setup: "150.00", monthly: "129.00"},
			},
		},
		{
			id: "pg-cluster", name: "PostgreSQL cluster", category: "Databases",
			summary: "Three PostgreSQL servers of your own in {city}: {size}.",
			description: "One server writes, two follow and one of them takes over. {plan}: {size} each, with storage of their own. Extensions are " +
				"yours to choose from a list of more than sixty; major versions change when you say so, with a rehearsal first.",
			regions: all, certifications: audited, usage: []price{backup},
			plans: []plan{
				{id: "c4", name: "C4", size: "2 cores, 4 GiB of memory and 80 GB of storage", setup: "950.00", monthly: "1490.00"},
				{id: "c16", name: "C16", size: "4 cores, 16 GiB of memory and 320 GB of storage", setup: "950.00", monthly: "3890.00"},
				{id: "c64", name: "C64", size: "16 cores, 64 GiB of memory and 1 TB of storage", setup: "1900.00", monthly: "11900.00"},
			},
		},
		{
			id: "mariadb", name: "MariaDB", category: "Databases",
			summary: "A managed MariaDB server in {city}: {size}.",
			description: "For shops, wikis and all that speaks the MySQL protocol. {plan} has {size}. Slow queries are listed for you, patches come on a night " +
				"of the week that you choose.",
			regions: all, certifications: iso, usage: []price{backup},
			plans: []plan{
				{id: "r2", name: "R2", size: "1 core, 2 GiB of memory and 40 GB of storage", monthly: "190.00"},
				{id: "r8", name: "R8", size: "2 cores, 8 GiB of memory and 160 GB of storage", monthly: "640.00"},
				{id: "r32", name: "R32", size: "8 cores, 32 GiB of memory and 640 GB of storage", setup: "500.00", monthly: "2490.00"},
			},
		},
		{
			id: "valkey", name: "Valkey", category: "Databases",
			summary: "An in-memory store in {city}: {size}.",
			description: "Valkey speaks the Redis protocol and is free software. {plan} holds {size}. Use it as a cache, a queue or a session store; " +
				"snapshots are written each hour if you want to keep what is in it.",
			regions: all, certifications: iso,
			plans: []plan{
				{id: "v1", name: "V1", size: "1 GiB", monthly: "99.00"},
				{id: "v4", name: "V4", size: "4 GiB with a replica", monthly: "420.00"},
				{id: "v16", name: "V16", size: "16 GiB with two replicas", monthly: "1690.00"},
			},
		},
		{
			id: "search", name: "Search cluster", category: "Databases",
			summary: "OpenSearch in {city}: {size}.",
			description: "Full text and vectors in one engine, with dashboards beside it. {plan}: {size}. Indexes roll over by age or size, and cold ones move to " +
				"object storage by themselves.",
			regions: some, certifications: iso, usage: []price{backup},
			plans: []plan{
				{id: "one", name: "One", size: "one node with 4 GiB of memory", monthly: "490.00"},
				{id: "three", name: "Three", size: "three nodes with 8 GiB of memory each", setup: "750.00", monthly: "2290.00"},
			},
		},
		{
			id: "columns", name: "Column store", category: "Analytics",
			summary: "ClickHouse for reports over billions of rows, in {city}: {size}.",
			description: "Load from object storage or a stream, ask in SQL, and get an answer before the coffee is ready. {plan}: {size}. Storage and compute " +
				"grow apart from each other.",
			regions: some, certifications: iso,
			plans: []plan{
				{id: "small", name: "Small", size: "8 cores and 32 GiB of memory", monthly: "2890.00"},
				{id: "large", name: "Large", size: "three times 16 cores and 64 GiB of memory", setup: "1500.00", monthly: "14900.00"},
			},
			usage: []price{{ID: "stored", Name: "Stored data", Kind: "usage", Unit: "GiB-month", Amount: "0.29"}},
		},
		{
			id: "series", name: "Time series", category: "Analytics",
			summary: "A database for measurements in {city}: {size}.",
			description: "Meters, machines and weather stations write, you ask for averages by the hour. {plan}: {size}. Old points are thinned out by rules that " +
				"you write in SQL.",
			regions: some, certifications: iso,
			plans: []plan{
				{id: "s", name: "S", size: "up to 1,000 points per second", monthly: "290.00"},
				{id: "m", name: "M", size: "up to 20,000 points per second", monthly: "1190.00"},
			},
			usage: []price{{ID: "points", Name: "Points above 100 million", Kind: "usage", Unit: "million points", Amount: "0.65"}},
		},
		{
			id: "vault", name: "Database vault", category: "Backup",
			summary: "Encrypted database copies in {city}, {size}.",
			description: "Takes base backups and the log in between from PostgreSQL, MariaDB or anything that a script can dump. {plan}: {size}. Copies cannot be " +
				"deleted before their time, not even by you. Each month a copy is restored into an empty server and counted.",
			regions: all, certifications: audited, usage: []price{backup},
			plans: []plan{
				{id: "month", name: "Month", size: "kept for thirty-five days", monthly: "49.00"},
				{id: "year", name: "Year", size: "kept for thirteen months", monthly: "119.00"},
				{id: "decade", name: "Decade", size: "kept for ten years", setup: "400.00", monthly: "290.00"},
			},
		},
		{
			id: "watch", name: "Query watch", category: "Observability",
			summary: "Finds the slow queries of your databases, run from {city}: {size}.",
			description: "An agent with read-only rights sends plans and counters, never rows. {plan}: {size}. Each Monday you get the three changes that would " +
				"help most, with the index or the rewrite spelled out.",
			regions: []region{sto, ham}, certifications: iso,
			plans: []plan{
				{id: "one", name: "One", size: "one database", monthly: "79.00"},
				{id: "fleet", name: "Fleet", size: "up to fifty databases", setup: "500.00", monthly: "1490.00"},
			},
		},
		{
			id: "move", name: "Migration", category: "Services",
			summary: "Our engineers move your database to us, working from {city}: {size}.",
			description: "A rehearsal with your own data, a written plan, a cut-over at an hour that suits you, and the way back kept open for two weeks. " +
				"{plan}: {size}. Owed once, when the new database has taken over.",
			regions: home, certifications: iso,
			plans: []plan{
				{id: "small", name: "Small", size: "one database up to 50 GB", setup: "9500.00"},
				{id: "large", name: "Large", size: "up to ten databases and 2 TB", setup: "49000.00"},
				{id: "oracle", name: "From elsewhere", size: "from another engine, with the procedures rewritten", setup: "120000.00"},
			},
		},
		{
			id: "dba", name: "Database engineer", category: "Services",
			summary: "An engineer from {city} who knows your database: {size}.",
			description: "Design reviews, difficult queries, upgrades, and a second pair of eyes on the night of the launch. {plan}: {size}. Unused hours stay " +
				"yours until the end of the next month.",
			regions: home, certifications: iso,
			plans: []plan{
				{id: "two", name: "Two hours", size: "two hours a month", monthly: "2900.00"},
				{id: "day", name: "A day", size: "eight hours a month", monthly: "10400.00"},
				{id: "week", name: "A week", size: "forty hours a month", monthly: "47000.00"},
			},
			usage: []price{{ID: "hours", Name: "Hours above the plan", Kind: "usage", Unit: "h", Tiers: []tier{
				{UpTo: 20, Amount: "1390"}, {Amount: "1240"},
			}}},
		},
	}
	var out []offering
	for _, f := range families {
		out = append(out, f.offerings("SEK")...)
	}
	return out
}
