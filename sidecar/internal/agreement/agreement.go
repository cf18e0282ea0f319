package agreement

import "time"

// Terms are what both sides signed.
type Terms struct {
	// WholesaleDiscountBP is off the list price, in hundredths of a percent.
	WholesaleDiscountBP int32
	// Currency of all offerings under this agreement, ISO 4217.
	Currency string
	// Territory lists ISO 3166-1 alpha-2 codes; empty is everywhere.
	Territory []string
}

// Agreement is a contract between one supplier and one reseller, one of which is us.
type Agreement struct {
	// Supplier and ID name it; the supplier made the id.
	ID       string
	Supplier string
	Reseller string
	State    State
	Terms    Terms
	// Payload is the JSON document that both signed, as it travelled; Digest its SHA-256.
	Payload []byte
	Digest  [32]byte
	// SupplierJWS and ResellerJWS are the signatures over Payload (compact JWS, typ hanse-agreement+jwt).
	SupplierJWS string
	ResellerJWS string
	// Refusal says why it is Refused.
	Refusal     string
	ActiveSince time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64
}

// Other is the party that is not self.
func (a Agreement) Other(self string) string {
	if a.Supplier == self {
		return a.Reseller
	}
	return a.Supplier
}

// Store keeps agreements.
type Store interface {
	// Get reads one by who made its id, the supplier, and the id; fault.NotFound with reason agreement_not_found.
	Get(supplier, id string) (Agreement, error)
	// Between lists the agreements of a pair, newest first.
	Between(supplier, reseller string) ([]Agreement, error)
	// With lists those with a partner, on whichever side it is.
	With(partner string) ([]Agreement, error)
	List() ([]Agreement, error)
	// Put inserts (Version 0) or compares and swaps; fault.Conflict.
	Put(Agreement) (Agreement, error)
}
