package money

import (
	"fmt"
	"strings"
)

// The currencies of ISO 4217 that are in use, by the digits of their minor unit. The standard's own list, not CLDR's:
// CLDR gives the digits that people use in daily life (IDR 0, RSD 0), and two members with different CLDR versions would
// not agree on what an amount is worth.
const (
	noDigits    = " BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF "
	threeDigits = " BHD IQD JOD KWD LYD OMR TND "
	fourDigits  = " CLF UYW "
	twoDigits   = " AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF" +
		" CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF" +
		" IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK" +
		" MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE" +
		" SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW" +
		" ZWG "
)

// MinorDigits is the number of decimal places of the currency's minor unit by ISO 4217: 2 for EUR, 0 for JPY;
// ErrUnknownCurrency.
func MinorDigits(code string) (int, error) {
	if len(code) == 3 && !strings.Contains(code, " ") {
		for _, t := range [...]struct {
			codes  string
			digits int
		}{{twoDigits, 2}, {noDigits, 0}, {threeDigits, 3}, {fourDigits, 4}} {
			if strings.Contains(t.codes, " "+code+" ") {
				return t.digits, nil
			}
		}
	}
	return 0, fmt.Errorf("%w: %q", ErrUnknownCurrency, code)
}
