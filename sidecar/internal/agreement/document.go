package agreement

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Document is the payload of a hanse-agreement+jwt, the same bytes for both parties. Operators are shown every member of it.
type Document struct {
	Type                string   `json:"type"`
	ID                  string   `json:"id"`
	Supplier            string   `json:"supplier"`
	Reseller            string   `json:"reseller"`
	Scope               string   `json:"scope"`
	WholesaleDiscountBP int32    `json:"wholesale_discount_bp"`
	Currency            string   `json:"currency"`
	Territory           []string `json:"territory"`
	ValidFrom           string   `json:"valid_from"`
	SupplierKey         string   `json:"supplier_key"`
	SupplierNextKey     string   `json:"supplier_next_key"`
	ResellerKey         string   `json:"reseller_key"`
	ResellerNextKey     string   `json:"reseller_next_key"`
}

// scopeAll is the one scope: everything that the supplier sells in the currency.
const scopeAll = "all"

// MaxTerritory is more than there are countries.
const MaxTerritory = 260

// Document reads what both parties signed, for who shows it.
func (a Agreement) Document() (d Document, err error) {
	err = signed.DecodeAs(signed.AgreementV1, a.Payload, &d)
	return d, err
}

// summary is the body of the agreement's ledger entries.
type summary struct {
	Agreement      string `json:"agreement"`
	DocumentSHA256 string `json:"document_sha256"`
}

func (a Agreement) summary() summary {
	return summary{Agreement: a.ID, DocumentSHA256: hex.EncodeToString(a.Digest[:])}
}

// parse reads a verified payload, keeps its bytes, and says when it begins. fault.Invalid with reason document_malformed,
// document_version or agreement_invalid.
func parse(payload []byte) (a Agreement, validFrom time.Time, err error) {
	var d Document
	if err := signed.DecodeAs(signed.AgreementV1, payload, &d); err != nil {
		return Agreement{}, time.Time{}, err
	}
	bad := func(field, cause string) (Agreement, time.Time, error) {
		return Agreement{}, time.Time{}, fault.New(fault.Invalid, "agreement_invalid", "%s", cause).At(field)
	}
	switch {
	case !ledger.IsID(d.ID):
		return bad("id", "the agreement's id is missing or not plain text")
	case d.Scope != scopeAll:
		return bad("scope", "only agreements over all offerings are known")
	case d.WholesaleDiscountBP < 0 || d.WholesaleDiscountBP > 10000:
		return bad("wholesale_discount_bp", "a discount is 0 to 10,000 basis points")
	}
	if _, err := money.MinorDigits(d.Currency); err != nil {
		return bad("currency", err.Error())
	}
	if field, _, cause := checkTerritory(d.Territory); cause != "" {
		return bad(field, cause)
	}
	if validFrom, err = signed.ParseTime(d.ValidFrom); err != nil {
		return bad("valid_from", "the beginning is not a date and time of RFC 3339 in UTC, like 2026-11-21T12:00:00Z")
	}
	return Agreement{
		ID: d.ID, Supplier: d.Supplier, Reseller: d.Reseller, Payload: payload, Digest: sha256.Sum256(payload),
		Terms: Terms{WholesaleDiscountBP: d.WholesaleDiscountBP, Currency: d.Currency, Territory: d.Territory},
	}, validFrom, nil
}

// checkTerritory says what is wrong with a list of countries: cause "" is nothing.
func checkTerritory(codes []string) (field, reason, cause string) {
	if len(codes) > MaxTerritory {
		return "territory", "territory_limit", fmt.Sprintf("a territory has at most %d countries; leave it empty for everywhere", MaxTerritory)
	}
	for i, c := range codes {
		field = fmt.Sprintf("territory[%d]", i)
		switch {
		case !text.IsCountry(c):
			return field, "country_unknown", text.Shorten(c) + " is not an ISO 3166-1 alpha-2 code of a country, like DE"
		case slices.Contains(codes[:i], c):
			return field, "country_twice", c + " stands twice in the territory"
		}
	}
	return "", "", ""
}

// checkPins proves that a supplier's agreement names the keys that both sides pinned.
func (s *Service) checkPins(payload []byte, supplier member.Partner) error {
	var d Document
	if err := signed.Decode(payload, &d); err != nil {
		return err
	}
	thumbprint, next := s.OwnKeys()
	if d.SupplierKey != supplier.Thumbprint || d.SupplierNextKey != supplier.NextKeyDigest ||
		d.ResellerKey != thumbprint || d.ResellerNextKey != next {
		return fault.New(fault.Precondition, "agreement_pins", "the agreement pins other keys than the partnership").
			Do("propose the partnership again, then offer a new agreement")
	}
	return nil
}
