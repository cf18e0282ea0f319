// Package metrics is what an operator's Prometheus sees of a sidecar: collectors that the other packages feed through small
// methods, gauges read from SQL at each scrape, and the ops listener's pages /metrics, /healthz and /readyz.
//
// It is the only importer of Prometheus. Labels are bounded: partner is the host of the partner's origin, at most 200 of
// them and then "other"; nothing carries an id, a customer, an offering or a URL.
//
//	hanse_rpc_requests_total{surface,procedure,result}     hanse_rpc_duration_seconds{surface,procedure}
//	hanse_peer_up{partner}                                 hanse_peer_clock_skew_seconds{partner}
//	hanse_ledger_feed_lag_entries{partner}                 hanse_ledger_feed_age_seconds{partner}
//	hanse_catalog_feed_age_seconds{partner}                hanse_feed_floods_total{partner,feed,bound}
//	hanse_orders{side,state}                               hanse_order_oldest_open_age_seconds{side}
//	hanse_subscriptions{side,state}                        hanse_jobs{kind,state}
//	hanse_ledger_parked_subjects{partner}                  hanse_ledger_pages_refused_total{partner,reason}
//	hanse_partner_books{partner,state}                     hanse_partner_held{partner}
//	hanse_partner_key_discontinuities_total{partner}
//	hanse_store_up                                         hanse_keys_export_stale
//	hanse_adapter_calls_total{adapter,operation,result}    hanse_adapter_call_duration_seconds{adapter,operation}
//	hanse_job_runs_total{kind,result}                      hanse_job_run_duration_seconds{kind}
//	hanse_auth_failures_total{surface,reason}              hanse_auth_replays_total{kind}
//	hanse_store_commits_total, hanse_store_closures_total  hanse_store_commit_duration_seconds
//	hanse_store_commit_failures_total{reason}              hanse_partnerships{state}
//	hanse_tls_certificate_expiry_timestamp_seconds         hanse_tls_certificate_reload_failures_total
//	hanse_log_texts_clipped_total                          hanse_log_lines_held_total
//	hanse_store_counts_age_seconds                         hanse_catalog_left_out_total{partner,bound}
//	hanse_recovery_entries_total{partner,result}           hanse_backup_last_success_timestamp_seconds
//	hanse_build_info{version,revision,goversion}           go_*, process_*
package metrics
