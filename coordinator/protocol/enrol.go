package protocol

import (
	"fmt"
	"time"

	"github.com/nats-io/nkeys"
)

// Kinds of what is asked for about credentials.
const (
	KindEnrol       = "enrol"        // on the coordinator's enrol subject
	KindTokenNew    = "token-new"    // on its admin subject, as those below
	KindTokenList   = "token-list"   //
	KindTokenRevoke = "token-revoke" //
)

// Enrol trades the token that its sender connected with for a place of the
// machine's own. Sent again with the same key it is answered the same.
type Enrol struct {
	Ask
	Role Role   `json:"role"` // the token's
	Name string `json:"name"` // that the machine would like
	Key  string `json:"key"`  // the public nkey that it made for itself
	// Token is the public key of the token that is traded, and Proof the signature
	// of [Enrol.Proven] by the token's seed: whoever is let connect as a joiner
	// can trade no token but its own.
	Token string `json:"token"`
	Proof Bytes  `json:"proof"`
}

// Proven returns what Proof signs.
func (e *Enrol) Proven() []byte {
	return []byte(signatureContext + KindEnrol + "\n" + string(e.Role) + "\n" + e.Name + "\n" + e.Key + "\n" + e.Token)
}

// Validate implements [Message].
func (e *Enrol) Validate() error {
	if err := e.is(KindEnrol); err != nil {
		return err
	}
	if err := CheckRole(e.Role); err != nil {
		return err
	}
	if err := CheckMachineName(e.Name); err != nil {
		return err
	}
	if !nkeys.IsValidPublicUserKey(e.Key) || !nkeys.IsValidPublicUserKey(e.Token) || len(e.Proof) != 64 {
		return fmt.Errorf("key %.60q, token %.60q, proof of %d bytes", e.Key, e.Token, len(e.Proof))
	}
	return nil
}

// EnrolReply says under which name the machine is known from now on, and all that
// it needs to come back.
type EnrolReply struct {
	Reply
	Name      string       `json:"name"`
	Role      Role         `json:"role"`
	CA        string       `json:"ca"` // PEM, of the fingerprint in the token
	Addresses list[string] `json:"addresses"`
	// Mesh and Routes are for a coordinator, empty where there is no mesh: the public
	// nkey of the one that enrolled it on routes, and where it and the nodes that it
	// knows are reached there.
	Mesh   string       `json:"mesh,omitempty"`
	Routes list[string] `json:"routes,omitzero"`
}

// MaxRoutes is how many routes a coordinator is told when it joins: more are learned
// from those.
const MaxRoutes = 16

// Validate implements [Message].
func (r *EnrolReply) Validate() error {
	if err := r.Reply.Validate(); err != nil || r.Code != OK {
		return err
	}
	if err := CheckMachineName(r.Name); err != nil {
		return err
	}
	if err := CheckRole(r.Role); err != nil {
		return err
	}
	if len(r.CA) > 4096 || len(r.Addresses) > MaxAddresses || len(r.Routes) > MaxRoutes {
		return fmt.Errorf("ca of %d bytes, %d addresses, %d routes", len(r.CA), len(r.Addresses), len(r.Routes))
	}
	if r.Mesh != "" && !nkeys.IsValidPublicUserKey(r.Mesh) {
		return fmt.Errorf("mesh key %.60q", r.Mesh)
	}
	for _, a := range append(append([]string{}, r.Addresses...), r.Routes...) {
		if err := checkAddress(a); err != nil {
			return err
		}
	}
	return nil
}

// TokenAsk is what the owner asks: a new token, the list, or a revocation.
type TokenAsk struct {
	Ask
	Role  Role  `json:"role,omitempty"`   // of the new token
	TTLMS int64 `json:"ttl_ms,omitempty"` // how long it may be traded
	// What is revoked: a token's id, a machine's name, or its public key.
	What string `json:"what,omitempty"`
	// After is where the list goes on: After of the reply before, or empty.
	After string `json:"after,omitempty"`
}

// MaxTokenTTL is how long a token may wait to be traded.
const MaxTokenTTL = 30 * 24 * time.Hour

// Validate implements [Message].
func (a *TokenAsk) Validate() error {
	if len(a.What) > maxText || len(a.After) > maxText {
		return fmt.Errorf("what of %d bytes, after of %d", len(a.What), len(a.After))
	}
	switch a.Kind {
	case KindTokenNew:
		if ttl := time.Duration(a.TTLMS) * time.Millisecond; a.TTLMS <= 0 || a.TTLMS > MaxTokenTTL.Milliseconds() {
			return fmt.Errorf("ttl %v, want up to %v", ttl, MaxTokenTTL)
		}
		return CheckRole(a.Role)
	case KindTokenList, KindTokenRevoke:
		return nil
	}
	return fmt.Errorf("kind %.40q", a.Kind)
}

// TokenReply answers the owner.
type TokenReply struct {
	Reply
	Token   string             `json:"token,omitempty"` // the text of the new one, told only now
	Entries list[AccessStatus] `json:"entries"`         // of the list, or what was revoked
	// After is to be asked with next, empty when the list is complete.
	After string `json:"after,omitempty"`
}

// AccessStatus is a token, or a machine that traded one.
type AccessStatus struct {
	// ID names a token in lists, a short form of its public key. It is empty for a
	// machine, which has a name.
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	Key  string `json:"key"`
	Role Role   `json:"role"`
	// Home is the coordinator that a machine joined, empty for the one that is asked.
	Home string `json:"home,omitempty"`
	// State is waiting, used, expired or revoked for a token, and joined or revoked
	// for a machine.
	State   string `json:"state"`
	Since   int64  `json:"since"`             // unix seconds: issued or joined
	Expires int64  `json:"expires,omitempty"` // unix seconds, of a token
	Online  int    `json:"online"`            // connections of a machine
}

// Validate implements [Message].
func (r *TokenReply) Validate() error {
	if err := r.Reply.Validate(); err != nil {
		return err
	}
	if len(r.Token) > maxTokenText {
		return fmt.Errorf("token of %d bytes", len(r.Token))
	}
	return nil
}
