package peers

import (
	"fmt"
	"time"
)

// Fault is what a peer did wrong.
type Fault uint8

// The faults. Zero is none.
const (
	Silent     Fault = iota + 1 // gave no answer in time
	Refused                     // answered with a refusal
	Rubbish                     // undecodable, signed wrongly, or no answer to what was asked
	BadHeaders                  // headers that break a rule
	BadBlock                    // another block than was asked for, or one whose body breaks a rule
	Withheld                    // did not give a block or work that it claims to have
	Endless                     // headers without end, or none that get nearer to what it claims
	Apart                       // a chain that leaves ours where that is final, by whose fault nobody knows
	faults                      // how many there are, and one
)

var faultNames = [faults]string{
	Silent: "silent", Refused: "refused", Rubbish: "rubbish", BadHeaders: "bad headers",
	BadBlock: "bad block", Withheld: "withheld", Endless: "endless", Apart: "apart",
}

// String returns the fault's name.
func (f Fault) String() string {
	if f == 0 || f >= faults {
		return fmt.Sprintf("fault %d", uint8(f))
	}
	return faultNames[f]
}

// MarshalText writes what [Fault.String] returns.
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// weights are what the faults add to a score. What no honest peer does is enough at
// once.
var weights = [faults]float64{
	Silent: 2, Refused: 1, Rubbish: 4, BadHeaders: maxScore, BadBlock: maxScore, Withheld: 4, Endless: maxScore, Apart: 1,
}

// mild says whether a peer that works well otherwise is forgiven: messages get lost
// and coordinators have a lot to do.
func (f Fault) mild() bool { return f == Silent || f == Refused }

// refutes says whether the fault shows that what the peer claims is wrong.
func (f Fault) refutes() bool {
	return f == BadHeaders || f == BadBlock || f == Withheld || f == Endless || f == Apart
}

const (
	// maxScore is the score at which a peer is ignored.
	maxScore = 10
	// halfLife is how long a score takes to halve.
	halfLife = 10 * time.Minute
	// forgiven is what a peer that works is forgiven of its mild faults each time.
	forgiven = 0.5
	// spell is how long a silence is one fault, however many requests fall into it.
	spell = RequestTimeout
	// firstIgnored is how long a peer is ignored, twice as long each time up to
	// longestIgnored; after longestIgnored without another it starts anew.
	firstIgnored   = time.Minute
	longestIgnored = time.Hour
	// refuted is how long a claim that was found wrong is not believed again.
	refuted = halfLife
	// early is how long a chain that lies ahead of the clock is not asked for again.
	early = time.Second
)
