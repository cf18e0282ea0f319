package store

// CheckDSN refuses what is no DSN of a PostgreSQL server, without calling one.
func CheckDSN(dsn string) error {
	_, err := parseDSN(dsn)
	return err
}
