package main

// nordkube is what NordKube of Finland sells, in EUR. Only the workspaces can be ordered: they are what the process
// adapter delivers. All else is announced.
func nordkube() []offering {
	hel := region{"fi-hel1", "Helsinki", "FI"}
	oul := region{"fi-oul1", "Oulu", "FI"}
	tll := region{"ee-tll1", "Tallinn", "EE"}
	fra := region{"de-fra1", "Frankfurt", "DE"}
	ams := region{"nl-ams1", "Amsterdam", "NL"}
	nordic, all := []region{hel, oul}, []region{hel, oul, tll, fra, ams}
	iso := []string{"ISO 27001", "ISO 27017", "ISO 27018"}
	audited := []string{"ISO 27001", "ISO 27017", "ISO 27018", "C5", "SOC 2"}
	egress := price{ID: "egress", Name: "Traffic to the internet", Kind: "usage", Unit: "GiB", Tiers: []tier{
		{UpTo: 1024, Amount: "0"}, {UpTo: 10240, Amount: "0.0092"}, {Amount: "0.0061"},
	}}

	families := []family{
		{
			id: "notes", name: "Notes", category: "Collaboration", orderable: true, recipe: workspace,
			summary: "A private notes workspace for {size}, running in {city} as a program of its own.",
			description: "One address, one password, one place for what your team needs to remember. A workspace is a program that runs for you " +
				"alone: no shared database, no accounts to invite, nothing that reads along.\n\n" +
				"Write notes in the browser or over a small JSON API, find them again by their words, and take everything with you as " +
				"one JSON document whenever you like. {plan} is meant for {size}.\n\n" +
				"When you end the subscription, the program stops and its data is removed.",
			regions: all, certifications: iso,
			plans: []plan{
				{id: "solo", name: "Solo", size: "one person", monthly: "2.90"},
				{id: "team", name: "Team", size: "up to ten people", monthly: "8.90"},
				{id: "studio", name: "Studio", size: "up to thirty people", setup: "15.00", monthly: "21.50"},
				{id: "house", name: "House", size: "a whole company", setup: "45.00", monthly: "59.00"},
			},
			usage: []price{{ID: "hours", Name: "Running time", Kind: "usage", Unit: "h", Amount: "0.0004"}},
		},
		{
			id: "checklists", name: "Checklists", category: "Collaboration", orderable: true, recipe: workspace,
			summary: "Checklists for {size} that stay on your side of the Baltic, in {city}.",
			description: "Opening the shop, closing the month, handing over the on-call phone: write the steps down once and tick them off each time.\n\n" +
				"The workspace is the same small program as our Notes, with tick boxes at the centre. It runs for you alone in {city}, " +
				"behind a password that only you receive, and answers to a JSON API, so that a script can add the next item.\n\n" +
				"{plan} is meant for {size}. Ending the subscription removes the data.",
			regions: all, certifications: iso,
			plans: []plan{
				{id: "crew", name: "Crew", size: "one crew", monthly: "4.40"},
				{id: "branch", name: "Branch", size: "one branch office", monthly: "11.80"},
				{id: "chain", name: "Chain", size: "many branches", setup: "30.00", monthly: "34.00"},
			},
			usage: []price{{ID: "hours", Name: "Running time", Kind: "usage", Unit: "h", Amount: "0.0004"}},
		},
		{
			id: "server", name: "Cloud server", category: "Compute",
			summary: "A virtual server with {size} in {city}.",
			description: "Dedicated memory, fairly shared cores and local NVMe storage, with a public IPv6 address and an optional IPv4 one.\n\n" +
				"{plan} gives you {size}. Images of the usual Linux distributions are rebuilt each week; bring your own as a raw or " +
				"qcow2 file. Servers can be resized upwards after a restart.\n\n" +
				"The hardware in {city} runs on electricity from hydro, wind and nuclear power.",
			regions: all, certifications: audited, usage: []price{egress},
			plans: []plan{
				{id: "c1", name: "C1", size: "1 vCPU, 2 GiB of memory and 25 GB of storage", monthly: "4.20"},
				{id: "c2", name: "C2", size: "2 vCPU, 4 GiB of memory and 50 GB of storage", monthly: "8.10"},
				{id: "c4", name: "C4", size: "4 vCPU, 8 GiB of memory and 100 GB of storage", monthly: "15.90"},
				{id: "c8", name: "C8", size: "8 vCPU, 16 GiB of memory and 200 GB of storage", monthly: "31.40"},
				{id: "m2", name: "M2", size: "2 vCPU, 16 GiB of memory and 50 GB of storage", monthly: "19.80"},
				{id: "m4", name: "M4", size: "4 vCPU, 32 GiB of memory and 100 GB of storage", monthly: "38.90"},
				{id: "m8", name: "M8", size: "8 vCPU, 64 GiB of memory and 200 GB of storage", monthly: "76.50"},
				{id: "d16", name: "D16", size: "16 dedicated cores, 64 GiB of memory and 400 GB of storage", setup: "20.00", monthly: "148.00"},
				{id: "d32", name: "D32", size: "32 dedicated cores, 128 GiB of memory and 800 GB of storage", setup: "20.00", monthly: "289.00"},
			},
		},
		{
			id: "gpu", name: "GPU server", category: "AI",
			summary: "For training and inference in {city}: {size}.",
			description: "Passed-through accelerators, no sharing and no time slices: {size}.\n\n" +
				"Meant for teams who train on data that may not leave the EU, or who serve a model with even latency. Drivers are " +
				"part of the image; the waste heat of the halls in {city} warms the neighbourhood.",
			regions: nordic, certifications: iso, usage: []price{egress},
			plans: []plan{
				{id: "g1", name: "G1", size: "one 48 GB accelerator with 16 cores", setup: "90.00", monthly: "890.00"},
				{id: "g4", name: "G4", size: "four 48 GB accelerators with 64 cores", setup: "190.00", monthly: "3390.00"},
				{id: "g8", name: "G8", size: "eight 96 GB accelerators with 128 cores", setup: "390.00", monthly: "9800.00"},
			},
		},
		{
			id: "kubernetes", name: "Managed Kubernetes", category: "Kubernetes",
			summary: "A conformant Kubernetes control plane in {city}, {size}.",
			description: "We run the control plane and its etcd, you run workloads: {size}.\n\n" +
				"Minor versions are offered within a month of their release and supported for fourteen months. Node pools are cloud " +
				"servers of your choice and are billed as such; the autoscaler, the storage driver and the load balancer driver are " +
				"part of the cluster.\n\nYou receive a kubeconfig with an administrator's certificate that you can rotate.",
			regions: all, certifications: audited,
			plans: []plan{
				{id: "dev", name: "Dev", size: "one node of control plane, no availability promise", monthly: "12.00"},
				{id: "small", name: "Small", size: "three control plane nodes for up to 10 workers", monthly: "59.00"},
				{id: "medium", name: "Medium", size: "three control plane nodes for up to 50 workers", monthly: "118.00"},
				{id: "large", name: "Large", size: "three large control plane nodes for up to 250 workers", setup: "150.00", monthly: "240.00"},
			},
			usage: []price{{ID: "workers", Name: "Managed worker nodes", Kind: "usage", Unit: "node-h", Tiers: []tier{
				{UpTo: 7300, Amount: "0.0060"}, {UpTo: 36500, Amount: "0.0045"}, {Amount: "0.0032"},
			}}},
		},
		{
			id: "object", name: "Object storage", category: "Storage",
			summary: "S3-compatible object storage in {city}: {size}.",
			description: "Buckets with versioning, object lock and lifecycle rules behind the S3 API you already use. {plan}: {size}.\n\n" +
				"Reading within the region is free. Access keys belong to a project and can be limited to a bucket, a prefix or a verb.",
			regions: all, certifications: audited,
			plans: []plan{
				{id: "single", name: "Single site", size: "three copies in one hall", monthly: "1.00"},
				{id: "twin", name: "Twin site", size: "copies in two halls more than 20 km apart", monthly: "2.00"},
				{id: "archive", name: "Archive", size: "erasure-coded, first byte within a minute", monthly: "1.00"},
			},
			usage: []price{
				{ID: "stored", Name: "Stored data", Kind: "usage", Unit: "GiB-month", Tiers: []tier{
					{UpTo: 250, Amount: "0"}, {UpTo: 51200, Amount: "0.0178"}, {UpTo: 512000, Amount: "0.0149"}, {Amount: "0.0121"},
				}},
				{ID: "requests", Name: "Write requests", Kind: "usage", Unit: "1000 requests", Amount: "0.0039"},
				egress,
			},
		},
		{
			id: "volume", name: "Block volume", category: "Storage",
			summary: "A network volume for servers in {city}: {size}.",
			description: "Attach it to one server at a time, grow it while it is in use, and take snapshots that cost only what they hold. {plan}: {size}. " +
				"Volumes are encrypted under a key of your project.",
			regions: all, certifications: iso,
			plans: []plan{
				{id: "steady", name: "Steady", size: "up to 3,000 operations per second", monthly: "0.50"},
				{id: "swift", name: "Swift", size: "up to 20,000 operations per second", monthly: "0.50"},
			},
			usage: []price{{ID: "size", Name: "Provisioned size", Kind: "usage", Unit: "GiB-h", Amount: "0.000074"}},
		},
		{
			id: "balancer", name: "Load balancer", category: "Networking",
			summary: "Layer 4 and 7 load balancing in {city} for {size}.",
			description: "Terminates TLS with certificates that renew themselves, checks the health of its targets and keeps clients on one of them " +
				"if you ask for it. {plan} carries {size}. Two machines share one address, and the second takes over within a second.",
			regions: all, certifications: iso, usage: []price{egress},
			plans: []plan{
				{id: "s", name: "S", size: "up to 1,000 connections", monthly: "7.50"},
				{id: "m", name: "M", size: "up to 10,000 connections", monthly: "16.00"},
				{id: "l", name: "L", size: "up to 100,000 connections", monthly: "42.00"},
			},
		},
		{
			id: "privatelink", name: "Private link", category: "Networking",
			summary: "A WireGuard gateway in {city} with {size}.",
			description: "Connects your office or another cloud with your private network in {city}. {plan} comes with {size}; routes are announced over BGP " +
				"or kept by hand. Keys are made on your side and never seen by us.",
			regions: []region{hel, fra, ams}, certifications: iso,
			plans: []plan{
				{id: "one", name: "One", size: "one tunnel at up to 500 Mbit/s", monthly: "9.00"},
				{id: "many", name: "Many", size: "twenty tunnels at up to 2 Gbit/s", monthly: "39.00"},
			},
		},
		{
			id: "registry", name: "Container registry", category: "Developer tools",
			summary: "A private OCI registry in {city}: {size}.",
			description: "Images, charts and any other OCI artefact, with signatures kept beside them and a scan of each push. {plan}: {size}. " +
				"Robot accounts are limited to a repository and to pulling or pushing.",
			regions: []region{hel, fra}, certifications: iso,
			plans: []plan{
				{id: "small", name: "Small", size: "five repositories, 20 GB", monthly: "5.00"},
				{id: "large", name: "Large", size: "any number of repositories, 250 GB", monthly: "29.00"},
			},
			usage: []price{{ID: "over", Name: "Storage above the plan", Kind: "usage", Unit: "GiB-month", Amount: "0.024"}},
		},
		{
			id: "runner", name: "Build runners", category: "Developer tools",
			summary: "Fresh machines for your pipelines in {city}: {size}.",
			description: "Each job gets a machine that nobody used before and nobody will use again. {plan}: {size}. Works with the runners of GitLab, " +
				"Forgejo and Woodpecker; caches are kept in object storage of the same region.",
			regions: []region{hel, fra}, certifications: iso,
			plans: []plan{
				{id: "two", name: "2-core", size: "two cores, 8 GiB", monthly: "0.00"},
				{id: "eight", name: "8-core", size: "eight cores, 32 GiB", monthly: "0.00"},
			},
			usage: []price{{ID: "minutes", Name: "Build time", Kind: "usage", Unit: "min", Tiers: []tier{
				{UpTo: 2000, Amount: "0"}, {UpTo: 50000, Amount: "0.0048"}, {Amount: "0.0035"},
			}}},
		},
		{
			id: "dns", name: "DNS", category: "Networking",
			summary: "Authoritative DNS, run from {city}: {size}.",
			description: "Anycast name servers in five countries of the EU, DNSSEC signing that you switch on with one field, and an API that ACME clients " +
				"know. {plan}: {size}. Zones can be taken away as zone files at any time.",
			regions: []region{hel}, certifications: iso,
			plans: []plan{
				{id: "ten", name: "10 zones", size: "ten zones, 1,000 records each", monthly: "3.00"},
				{id: "hundred", name: "100 zones", size: "a hundred zones, 10,000 records each", monthly: "18.00"},
			},
			usage: []price{{ID: "queries", Name: "Queries", Kind: "usage", Unit: "million queries", Tiers: []tier{
				{UpTo: 5, Amount: "0"}, {Amount: "0.21"},
			}}},
		},
		{
			id: "backup", name: "Server backup", category: "Backup",
			summary: "Nightly copies of your servers, kept in {city}: {size}.",
			description: "Changed blocks are copied each night to another hall and encrypted under your own key. {plan}: {size}. A restore goes back to the " +
				"same server, to a new one, or to a file that you download. We test one restore of each customer every month and send you the result.",
			regions: all, certifications: audited,
			plans: []plan{
				{id: "week", name: "One week", size: "seven daily copies", monthly: "1.50"},
				{id: "year", name: "One year", size: "daily, weekly and monthly copies for a year", monthly: "4.00"},
			},
			usage: []price{{ID: "stored", Name: "Stored copies", Kind: "usage", Unit: "GiB-month", Amount: "0.019"}},
		},
		{
			id: "metrics", name: "Metrics and logs", category: "Observability",
			summary: "Prometheus-compatible metrics and log search in {city}: {size}.",
			description: "Send metrics over remote write and logs over OTLP, ask in PromQL and look at it in Grafana. {plan}: {size}. Alerts go to mail, " +
				"webhooks or your on-call tool.",
			regions: []region{hel, fra}, certifications: iso,
			plans: []plan{
				{id: "fortnight", name: "14 days", size: "kept for fourteen days", monthly: "9.00"},
				{id: "quarter", name: "90 days", size: "kept for ninety days", monthly: "24.00"},
				{id: "audit", name: "13 months", size: "kept for thirteen months, write-once", setup: "60.00", monthly: "79.00"},
			},
			usage: []price{{ID: "ingest", Name: "Received data", Kind: "usage", Unit: "GiB", Tiers: []tier{
				{UpTo: 50, Amount: "0"}, {UpTo: 1000, Amount: "0.29"}, {Amount: "0.19"},
			}}},
		},
		{
			id: "secrets", name: "Key and secret store", category: "Security",
			summary: "Keys that never leave their hardware, in {city}: {size}.",
			description: "Encrypt, sign and keep secrets behind an API with an audit trail that you can export. {plan}: {size}. Keys are made in certified " +
				"modules; a ceremony with two people of yours is possible.",
			regions: nordic, certifications: audited,
			plans: []plan{
				{id: "shared", name: "Shared", size: "a partition of a shared module", monthly: "14.00"},
				{id: "own", name: "Dedicated", size: "a module of your own", setup: "900.00", monthly: "740.00"},
			},
			usage: []price{{ID: "operations", Name: "Key operations", Kind: "usage", Unit: "1000 operations", Amount: "0.0120"}},
		},
		{
			id: "streams", name: "Event streams", category: "Messaging",
			summary: "A Kafka-compatible log in {city}: {size}.",
			description: "Topics, consumer groups and transactions over the protocol that your clients speak. {plan}: {size}. Brokers stand in three rooms and " +
				"acknowledge a write when two of them have it.",
			regions: []region{hel, fra, ams}, certifications: iso,
			plans: []plan{
				{id: "s", name: "S", size: "5 MB/s, kept for three days", monthly: "69.00"},
				{id: "m", name: "M", size: "25 MB/s, kept for a week", monthly: "210.00"},
				{id: "l", name: "L", size: "100 MB/s, kept for a month", setup: "120.00", monthly: "690.00"},
			},
		},
	}
	var out []offering
	for _, f := range families {
		out = append(out, f.offerings("EUR")...)
	}
	return out
}
