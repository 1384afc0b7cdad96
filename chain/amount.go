package chain

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// coinDigits is how many decimal places a coin has: 10^8 units.
const coinDigits = 8

var coinsForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,7})(\.[0-9]{1,8})?$`)

// ParseCoins reads an amount of coins, "50" or "0.00000001", exactly, and returns
// it in units. It takes at most 21 million coins.
func ParseCoins(s string) (int64, error) {
	if !coinsForm.MatchString(s) {
		return 0, fmt.Errorf("amount %.40q: want coins, with at most %d decimal places", s, coinDigits)
	}
	whole, part, _ := strings.Cut(s, ".")
	units, err := strconv.ParseInt(whole+part+strings.Repeat("0", coinDigits-len(part)), 10, 64)
	if err != nil || units > maxMoney {
		return 0, fmt.Errorf("amount %.40q: want at most %s coins", s, FormatCoins(maxMoney))
	}
	return units, nil
}

// FormatCoins writes units as coins, in the one form without needless digits that
// [ParseCoins] reads.
func FormatCoins(units int64) string {
	sign := ""
	if units < 0 {
		sign, units = "-", -units
	}
	part := strings.TrimRight(fmt.Sprintf("%0*d", coinDigits, units%Coin), "0")
	if part != "" {
		part = "." + part
	}
	return fmt.Sprintf("%s%d%s", sign, units/Coin, part)
}
