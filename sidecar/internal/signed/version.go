package signed

import (
	"reflect"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// Versions of business documents, as their member "type" says them: name/number.
const (
	AgreementV1     = "hanse-agreement/1"
	OrderV1         = "hanse-order/1"
	CancelV1        = "hanse-cancel/1"
	AccessReceiptV1 = "hanse-access-receipt/1"
	LifeV1          = "hanse-life/1"
	EraseV1         = "hanse-erase/1"
)

// RolloverV1 is no business document: it is published, and sent to nobody.
const RolloverV1 = "hanse-rollover/1"

// versions are those that this build reads and writes, of each document the highest first.
var versions = []string{AgreementV1, OrderV1, CancelV1, AccessReceiptV1, LifeV1, EraseV1}

// Versions is what our member document announces: a version once all replicas read it.
func Versions() []string { return slices.Clone(versions) }

// maxAnnounced and maxVersion bound what is kept of a member's announcement.
const (
	maxAnnounced = 64
	maxVersion   = 64
)

// Announced is what is kept of the versions that a member says it reads: what has the form of one.
func Announced(documents []string) []string {
	var kept []string
	for _, d := range documents {
		name, number, _ := strings.Cut(d, "/")
		if len(d) <= maxVersion && len(kept) < maxAnnounced && name != "" && number != "" && strings.Trim(number, "0123456789") == "" && !slices.Contains(kept, d) {
			kept = append(kept, d)
		}
	}
	return kept
}

// Pick is the highest version of a document that both announced; ours is any version of it that we write. fault.Precondition with
// reason document_version where there is none: then nothing of the kind is sent.
func Pick(ours, partner string, theirs []string) (string, error) {
	name, _, _ := strings.Cut(ours, "/")
	for _, v := range versions {
		if strings.HasPrefix(v, name+"/") && slices.Contains(theirs, v) {
			return v, nil
		}
	}
	reads := "none of it"
	if of := slices.DeleteFunc(slices.Clone(theirs), func(v string) bool { return !strings.HasPrefix(v, name+"/") }); len(of) > 0 {
		reads = "only " + strings.Join(of, ", ")
	}
	return "", fault.New(fault.Precondition, "document_version", "%s reads no version of %s that this sidecar writes: its member document announces %s", partner, name, reads).
		Do("ask the partner to update its sidecar, or update this one; then run hanse partner add " + partner + " again")
}

// DecodeAs is Decode for a document whose member "type" says its version. One of another version has other members, so that is
// told before any of them: fault.Invalid with reason document_version.
func DecodeAs(version string, payload []byte, into any) error {
	err := Decode(payload, into)
	said := ""
	if err != nil {
		var head struct {
			Type string `json:"type"`
		}
		if DecodeOpen(payload, &head) != nil {
			return err
		}
		said = head.Type
	} else {
		target := reflect.ValueOf(into).Elem()
		s := shapeOf(target.Type())
		said = target.Field(s.members[s.byName["type"]].field).String()
	}
	if said == version {
		return err
	}
	return fault.New(fault.Invalid, "document_version", "the document is not of a version that is read here, %s", version).At("type").
		Do("send a version that our member document announces")
}

// IsDigest reports whether s is what Digest writes.
func IsDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
