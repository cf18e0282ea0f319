package main

// row is a line of the table: a figure that a benchmark reports, under its unit, beside figures of its baseline.
type row struct {
	what  string
	pkg   string
	bench string
	// metric is the unit that the benchmark reports the figure under, unit how the table writes it.
	metric, unit string
	aim          aim
	base         []base
	// times is -benchtime; default 1x, for what measures in rounds of its own.
	times string
	env   []string
}

type base struct{ what, metric, unit string }

const (
	sidecar = "./sidecar"
	search  = "./sidecar/internal/search"
	auth    = "./auth"

	two      = "BenchmarkOrderOverTwoProcesses"
	million  = "BenchmarkOrderAfterAMillion"
	hundred  = "BenchmarkOrderAmongAHundredPartners"
	postgres = "BenchmarkOrderOnPostgres"
	full     = "BenchmarkFullHouse"
	binary   = "BenchmarkBinary"
	idle     = "BenchmarkIdle"
	sync     = "BenchmarkCatalogColdSync"
	visible  = "BenchmarkCatalogEditVisible"
	publish  = "BenchmarkCatalogPublish"
	apply    = "BenchmarkOfferingApply"
	searches = "BenchmarkSearchAtAMillionUnderUpdates"
	page     = "BenchmarkCatalogPageThroughRelay"
	back     = "BenchmarkBackAfterAMonth"
	verify   = "BenchmarkStartAndVerify"
	heal     = "BenchmarkHealing"
)

// fewer keeps the idle daemons' five minutes, a whole life of their tokens, out of a run of everything.
var fewer = []string{"HANSE_IDLE_WINDOW=2m"}

// noise of a pair of equal sides.
func noise(what string) []base {
	return []base{{what + " against itself ±", "noise-rate-%", "% rate"}, {"±", "noise-cpu-%", "% CPU"}}
}

func with(first base, more []base) []base { return append([]base{first}, more...) }

// rows are what the design aims for, in the order of its table.
var rows = []row{
	{what: "order, 64 callers, two processes: CPU", pkg: sidecar, bench: two + "/callers=64", metric: "cpu-µs/order", unit: "µs", aim: aim{most: 600}, base: with(base{"bare pipe", "bare-cpu-µs/call", "µs"}, noise("pipe"))},
	{what: "order, 64 callers: rate of the bare pipe's", pkg: sidecar, bench: two + "/callers=64", metric: "of-the-bare-pipe", unit: "x", aim: aim{least: 0.2}, base: []base{{"ours", "orders/s", "/s"}}},
	{what: "order, 1 caller: rate of the bare pipe's", pkg: sidecar, bench: two + "/callers=1", metric: "of-the-bare-pipe", unit: "x", aim: aim{least: 0.2}, base: with(base{"ours", "orders/s", "/s"}, noise("pipe"))},
	{what: "order, 1 caller, two processes: CPU", pkg: sidecar, bench: two + "/callers=1", metric: "cpu-µs/order", unit: "µs", base: []base{{"bare pipe", "bare-cpu-µs/call", "µs"}}},
	{what: "order after 1,000,000: rate", pkg: sidecar, bench: million, metric: "of-empty-rate", unit: "x", aim: aim{least: 0.9}, base: noise("empty store")},
	{what: "order after 1,000,000: by CPU", pkg: sidecar, bench: million, metric: "of-empty-cpu", unit: "x", aim: aim{least: 0.9}, base: []base{{"empty store", "empty-cpu-µs/order", "µs"}}},
	{what: "order with one of 100 partners: rate", pkg: sidecar, bench: hundred, metric: "of-one-partner-rate", unit: "x", aim: aim{least: 0.9}, base: noise("one partner")},
	{what: "order with one of 100 partners: by CPU", pkg: sidecar, bench: hundred, metric: "of-one-partner-cpu", unit: "x", aim: aim{least: 0.9}, base: []base{{"one partner", "one-partner-cpu-µs/order", "µs"}}},
	{what: "orders spread over 100 partners: by CPU", pkg: sidecar, bench: hundred, metric: "spread-cpu", unit: "x", base: []base{{"one partner", "one-partner-cpu-µs/order", "µs"}}},
	{what: "order, PostgreSQL + Redis, two replicas", pkg: sidecar, bench: postgres, metric: "orders/s", unit: "/s", base: []base{{"pgbench of the same writes", "pgbench/s", "/s"}}},
	{what: "cold sync of 10k / bulk load", pkg: "./sidecar/internal/federation", bench: sync + "/offerings=10000", metric: "x-bulk-load", unit: "x", aim: aim{least: 0.35}, base: []base{{"by CPU", "x-bulk-load-cpu", "x"}}},
	{what: "cold sync of 100k / bulk load", pkg: "./sidecar/internal/federation", bench: sync + "/offerings=100000", metric: "x-bulk-load", unit: "x", aim: aim{least: 0.35}, base: []base{{"by CPU", "x-bulk-load-cpu", "x"}}},
	{what: "cold sync of 500k / bulk load", pkg: "./sidecar/internal/federation", bench: sync + "/offerings=500000", metric: "x-bulk-load", unit: "x", aim: aim{least: 0.35}, base: []base{{"by CPU", "x-bulk-load-cpu", "x"}}},
	{what: "publishing 100k: longest pause of writes", pkg: "./sidecar/internal/catalog", bench: publish, metric: "ms-longest-pause", unit: "ms", aim: aim{most: 20}},
	{what: "offering apply of 100k", pkg: "./sidecar/internal/catalog", bench: apply, metric: "s/100k", unit: "s", aim: aim{most: 8}},
	{what: "edit to visible, 100k listings: p99", pkg: "./sidecar/internal/federation", bench: visible, metric: "ms-p99", unit: "ms", aim: aim{most: 100}},
	{what: "search at 1M under updates: updates through", pkg: search, bench: searches + "/against=static", metric: "updates/s", unit: "/s", aim: aim{least: 999, text: "all of 1,000/s"}},
	{what: "search at 1M: p99 of a static index's, faster", pkg: search, bench: searches + "/against=static", metric: "x-faster-p99", unit: "x", aim: aim{least: 0.4}, base: []base{{"ours", "p99-us", "µs"}}},
	{what: "search at 1M: p99, faster than FTS5", pkg: search, bench: searches + "/against=FTS5", metric: "x-faster-p99", unit: "x", aim: aim{least: 5}, base: []base{{"p50", "x-faster-p50", "x"}}},
	{what: "search at 1M: p99, faster than PostgreSQL", pkg: search, bench: searches + "/against=PostgreSQL", metric: "x-faster-p99", unit: "x", aim: aim{least: 5}, base: []base{{"p50", "x-faster-p50", "x"}}},
	{what: "RSS, idle", pkg: sidecar, bench: idle, metric: "alone-rss-MiB", unit: "MiB", aim: aim{most: 46}, env: fewer},
	{what: "RSS, 100k foreign offerings", pkg: sidecar, bench: full, metric: "rss-MiB", unit: "MiB", aim: aim{most: 160}},
	{what: "RSS, 100 partners", pkg: sidecar, bench: idle, metric: "quiet-rss-MiB", unit: "MiB", aim: aim{most: 70}, base: []base{{"alone", "alone-rss-MiB", "MiB"}}, env: fewer},
	{what: "idle CPU, 100 quiet partners", pkg: sidecar, bench: idle, metric: "quiet-cpu-%", unit: "%", aim: aim{most: 0.5}, base: []base{{"alone", "alone-cpu-%", "%"}}, env: fewer},
	{what: "idle CPU, 100 unreachable partners", pkg: sidecar, bench: idle, metric: "unreachable-cpu-%", unit: "%", aim: aim{most: 0.5}, base: []base{{"alone", "alone-cpu-%", "%"}}, env: fewer},
	{what: "start, 100k offerings and 100k orders", pkg: sidecar, bench: full, metric: "start-s", unit: "s", aim: aim{most: 2.5}, base: []base{{"empty", "empty-start-s", "s"}, {"CPU", "start-cpu-s", "s"}}},
	{what: "metrics scrape at 100k orders", pkg: sidecar, bench: full, metric: "scrape-ms", unit: "ms", aim: aim{most: 3}, base: []base{{"empty", "empty-scrape-ms", "ms"}}},
	{what: "catalog page, relay, 64 callers: p99 over FTS5's", pkg: search, bench: page, metric: "x-FTS5-p99", unit: "x", aim: aim{least: 5}, base: []base{{"ours", "p99-ms", "ms"}, {"p50", "x-FTS5-p50", "x"}}},
	{what: "restore of 1 GB, 100k orders, then level with 10", pkg: sidecar, bench: "BenchmarkRestore", metric: "s", unit: "s", aim: aim{most: 120}, base: []base{{"restore", "restore-s", "s"}, {"level", "level-s", "s"}, {"cp", "cp-s", "s"}}},
	{what: "rebuilt from partners, empty disk, 10,000 deals", pkg: sidecar, bench: "BenchmarkRebuild", metric: "s", unit: "s", base: []base{{"entries", "entries/s", "/s"}, {"CPU", "cpu-s", "s"}, {"CPU an entry / with a tenth", "x-per-entry-of-a-tenth", "x"}}},
	{what: "partner back, 100,000 entries behind: others' p99", pkg: sidecar, bench: back, metric: "p99-of-quiet", unit: "x", aim: aim{most: 1.5}, base: []base{{"without it", "quiet-p99-ms", "ms"}, {"±", "noise-p99-%", "%"}}},
	{what: "the same: drained in order", pkg: sidecar, bench: back, metric: "entries/s", unit: "/s", base: []base{{"our CPU an entry", "cpu-µs/entry", "µs"}, {"its", "reader-cpu-µs/entry", "µs"}}},
	{what: "healing after a partition: p99", pkg: sidecar, bench: heal, metric: "p99-s", unit: "s", aim: aim{most: 10}},
	{what: "the same: first completion seen", pkg: sidecar, bench: heal, metric: "first-s", unit: "s", aim: aim{most: 2}, base: []base{{"worst", "worst-first-s", "s"}}},
	{what: "start, 100,000 entries / 10,000: CPU", pkg: sidecar, bench: verify, metric: "start-x-cpu", unit: "x", aim: aim{most: 1.2, text: "flat"}, base: []base{{"start", "start-s", "s"}}},
	{what: "ledger verify, 100,000 entries / 10,000: CPU an entry", pkg: sidecar, bench: verify, metric: "verify-x-cpu-per-entry", unit: "x", aim: aim{most: 1.2, text: "linear"}, base: []base{{"CPU an entry", "verify-cpu-µs/entry", "µs"}, {"verify", "verify-s", "s"}}},
	{what: "binary size", pkg: sidecar, bench: binary, metric: "MB", unit: "MB", aim: aim{most: 74}},
	{what: "cold build of make demo", pkg: sidecar, bench: binary, metric: "build-s", unit: "s", aim: aim{text: "not longer than 88 s"}, base: []base{{"CPU", "build-cpu-s", "s"}}},

	{what: "verifying a peer call, token seen / bare ES256", pkg: auth, bench: "BenchmarkVerifyPeerCall/seen", metric: "x-bare-ES256", unit: "x", aim: aim{most: 1.15}, base: []base{{"bare", "µs/bare", "µs"}}, times: "300ms"},
	{what: "the same, unseen / two bare", pkg: auth, bench: "BenchmarkVerifyPeerCall/unseen", metric: "x-bare-ES256", unit: "x", aim: aim{most: 1.4}, base: []base{{"bare", "µs/bare", "µs"}}, times: "300ms"},
	{what: "group commit, 64 callers / one commit each", pkg: "./sidecar/internal/store", bench: "BenchmarkGroupCommit/callers=64", metric: "x-one-commit-each", unit: "x", aim: aim{least: 1.9}},
	{what: "orders beside a slow partner: p99 / beside a quick one", pkg: sidecar, bench: "BenchmarkBesideASlowPartner", metric: "p99-of-quick", unit: "x", base: []base{{"p50", "p50-of-quick", "x"}}},
	{what: "tokens of the token endpoint", pkg: auth, bench: "BenchmarkTokenEndpoint", metric: "tokens/s", unit: "/s", aim: aim{least: 1930, text: "≥ 10x hydra's 193/s"}, times: "300ms"},
	{what: "group commit, 1 caller / one commit each", pkg: "./sidecar/internal/store", bench: "BenchmarkGroupCommit/callers=1", metric: "x-one-commit-each", unit: "x", aim: aim{least: 0.95}},
}
