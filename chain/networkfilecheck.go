package chain

import (
	"errors"
	"fmt"
	"regexp"
)

var (
	// ownPrefix is what addresses of a private network may start with: letters and
	// digits that bech32's separator, a 1, stands out from. With 16 of them the
	// longest witness program still makes an address of under 90 characters.
	ownPrefix = regexp.MustCompile(`^[a-z][a-z02-9]{0,15}$`)
	// idForm is the form of [Params.ID].
	idForm = regexp.MustCompile(`-[0-9a-f]{8}$`)
)

// maxMaturity bounds the maturity of a private network.
const maxMaturity = 1_000_000

// checkPrivate says what is wrong with p as a network that a file tells, beyond
// what [Params.checkRules] says.
func (p *Params) checkPrivate() error {
	if p.Schedule != ScheduleASERT && p.Schedule != ScheduleNone {
		return fmt.Errorf("schedule %d: want asert or none", p.Schedule)
	}
	if !p.VersionRolling || !p.Forks.fromStart() {
		return errors.New("version rolling is off, or soft forks wait for a height: a network file says neither")
	}
	if idForm.MatchString(p.Name) {
		return fmt.Errorf("network name %q looks like an id: want another end than - and 8 hex digits", p.Name)
	}
	limit, err := p.PowLimit.Target()
	if err != nil {
		return fmt.Errorf("pow limit: %w", err)
	}
	if same := limit.Bits(); same != p.PowLimit {
		return fmt.Errorf("pow limit %s: write %s", p.PowLimit, same)
	}
	if p.Maturity < 1 || p.Maturity > maxMaturity {
		return fmt.Errorf("maturity of %d blocks: want 1 to %d", p.Maturity, maxMaturity)
	}
	a := p.Address
	if !ownPrefix.MatchString(a.Bech32HRPSegwit) {
		return fmt.Errorf("address prefix %.80q: want 1 to 16 of a-z, 0 and 2-9, a letter first", a.Bech32HRPSegwit)
	}
	if a.PubKeyHashAddrID == a.ScriptHashAddrID {
		return fmt.Errorf("addresses of keys and of scripts both start with byte %d", a.PubKeyHashAddrID)
	}
	return nil
}

// fromStart says whether every soft fork holds from block 1 on.
func (f *Forks) fromStart() bool {
	return f.BIP16|f.BIP34|f.BIP66|f.BIP65|f.CSV|f.SegWit|f.Taproot == 0 && len(f.BIP30Exceptions) == 0
}
