package protocol

import "fmt"

// Code says how a request went. Numbers are stable: a code is never given another
// meaning, and programs compare nothing else.
type Code uint16

// The codes. Hundreds group them: 1 the message, 2 the claim, 3 the block,
// 4 and 5 the service, 6 credentials.
const (
	OK Code = 0

	Malformed   Code = 100 // not JSON, a wrong type, a value out of range
	Oversized   Code = 101 // over [MaxMessage] bytes
	UnknownKind Code = 102 // a kind of message that this version does not know
	BadMAC      Code = 103 // a share or solution not under the slot's secret

	UnknownJob   Code = 200 // a job that is not, or no longer, known
	Stale        Code = 201 // a share for a parent that is no longer the tip
	HighHash     Code = 202 // the hash does not meet the slot's share target
	Known        Code = 203 // this header was already credited or accepted
	NotLeased    Code = 204 // a share at a point that the slot does not hold
	UnknownSlot  Code = 205 // no such slot in this epoch: join again
	LeaseGone    Code = 206 // the lease ran out and its rest went back
	UnknownTerms Code = 207 // share terms that the slot was not given, or long ago

	InvalidBlock Code = 300 // the solution breaks a consensus rule

	Busy        Code = 400 // try again
	Full        Code = 401 // no slot is free
	Limited     Code = 402 // more requests than one worker may send: slow down
	Dropped     Code = 403 // too many bad messages: not listened to for a while
	NotFound    Code = 404 // no such block
	Unavailable Code = 503 // the coordinator is stopping or its store failed

	NoToken      Code = 600 // no such token, or a proof that does not fit it
	TokenUsed    Code = 601 // traded before, by another machine
	TokenExpired Code = 602
	TokenRevoked Code = 603
	WrongRole    Code = 604 // issued for another role
)

var codeNames = map[Code]string{
	OK: "ok", Malformed: "malformed message", Oversized: "message too large",
	UnknownKind: "unknown kind of message", BadMAC: "wrong MAC",
	UnknownJob: "unknown job", Stale: "stale share", HighHash: "hash above the target",
	Known: "already known", NotLeased: "point not leased", UnknownSlot: "unknown slot",
	LeaseGone: "lease ran out", UnknownTerms: "unknown share terms",
	InvalidBlock: "invalid block", Busy: "busy", Full: "no slot free",
	Limited: "too many requests", Dropped: "not listened to after too many bad messages",
	NoToken: "unknown token", TokenUsed: "token used before", TokenExpired: "token expired",
	TokenRevoked: "token revoked", WrongRole: "token is for another role",
	NotFound: "not found", Unavailable: "unavailable",
}

// String is for people.
func (c Code) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return fmt.Sprintf("code %d", uint16(c))
}

// Error makes a code that is not OK an error to match.
func (c Code) Error() string { return c.String() }
