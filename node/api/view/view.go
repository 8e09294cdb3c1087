// Package view holds the JSON that a node speaks over HTTP, what it answers and
// what it takes, and the two files of HOME by which a client finds and
// convinces it. Server and clients share this, and nothing else.
//
// Names are stable. Amounts are µATP integers in fields that end in _uatp,
// shares and qualities are millionths in _ppm, instants (Unix) and lengths of
// time are milliseconds in _ms. Content is named by its CID as a plain string, a platform by its
// libp2p peer ID in base58. A list is [] when empty, never null; an object or
// ID that does not apply is left out.
package view

import (
	"encoding/json"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Amount is a number of µATP.
type Amount = atp.Amount

// PPM is a share or a quality in millionths.
type PPM uint64

// Height is a block's number; genesis is 0.
type Height uint64

// Millis is an instant in Unix milliseconds.
type Millis = atp.Millis

// Span is a length of time in milliseconds.
type Span = atp.Span

// List is a list that is [] in JSON when it is empty, never null.
type List[T any] []T

// MarshalJSON implements json.Marshaler.
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}

// CID names content: a block, transaction, task, lock, program, input or
// result. In JSON it is its string form. The zero CID is the absent one.
type CID struct{ cid.Cid }

// ParseCID reads the form written by [CID.String].
func ParseCID(s string) (CID, error) {
	c, err := cid.Decode(s)
	if err != nil {
		return CID{}, fmt.Errorf("view: content ID %.80q: %w", s, err)
	}
	if c.String() != s {
		return CID{}, fmt.Errorf("view: content ID %.80q: not in its canonical form %s", s, c)
	}
	return CID{c}, nil
}

// IsZero reports whether c is the absent CID.
func (c CID) IsZero() bool { return !c.Defined() }

// MarshalJSON writes c as a string.
func (c CID) MarshalJSON() ([]byte, error) {
	if c.IsZero() {
		return []byte(`""`), nil
	}
	return json.Marshal(c.String())
}

// UnmarshalJSON reads a string; the empty one is the absent CID.
func (c *CID) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("view: content ID: %w", err)
	}
	if s == "" {
		*c = CID{}
		return nil
	}
	parsed, err := ParseCID(s)
	if err == nil {
		*c = parsed
	}
	return err
}

// Status is a node's health in one object.
type Status struct {
	PeerID        peer.ID       `json:"peer_id"`
	Name          string        `json:"name"`
	Network       string        `json:"network"`
	Founder       peer.ID       `json:"founder,omitempty"`
	FounderName   string        `json:"founder_name,omitempty"`
	Genesis       string        `json:"genesis"` // hex of the genesis hash; empty while there is none
	Height        Height        `json:"height"`  // of the newest final block
	Block         CID           `json:"block,omitzero"`
	StateRoot     CID           `json:"state_root,omitzero"`
	FinalTimeMS   Millis        `json:"final_time_ms"`
	Mode          Mode          `json:"mode"`
	Validator     bool          `json:"validator"`
	Validators    int           `json:"validators"`
	Quorum        int           `json:"quorum"`
	OnlyValidator string        `json:"only_validator,omitempty"` // its name, while all depends on one platform of several
	Peers         int           `json:"peers"`
	BalanceUATP   Amount        `json:"balance_uatp"` // available
	LockedUATP    Amount        `json:"locked_uatp"`
	BondedUATP    Amount        `json:"bonded_uatp"`
	Totals        Totals        `json:"totals"`
	Mempool       int           `json:"mempool"`
	Syncing       bool          `json:"syncing"`
	ClockOffsetMS int64         `json:"clock_offset_ms"`
	Version       string        `json:"version"`
	Public        bool          `json:"public"`            // it relays for the federation
	Relays        List[peer.ID] `json:"relays"`            // through whom others reach it from the internet
	Listen        List[string]  `json:"listen"`            // multiaddresses with /p2p/ID: what another node's --bootstrap takes
	Waiting       string        `json:"waiting,omitempty"` // what a node that is not ready waits for, as one clause
	Alarms        List[string]  `json:"alarms"`
	PID           int           `json:"pid"`
}

// Ready reports whether the node has a chain and follows it.
func (s Status) Ready() bool { return s.Genesis != "" && !s.Syncing && s.Waiting == "" }

// Stopping is a node that has been told to end, and will.
type Stopping struct {
	PID int `json:"pid"`
}

// Mode says what the federation's size lets it promise (economy, Witnesses).
type Mode string

// The modes, by number of societies that can judge.
const (
	ModeForming Mode = "forming"                  // no genesis yet
	ModeSolo    Mode = "solo"                     // 1
	ModeTrusted Mode = "trusted, no witnesses"    // 2–3
	ModeVoid    Mode = "f = 1, disputes may void" // 4
	ModeFull    Mode = "full"                     // 5 or more
)

// Totals is where all the µATP are; the first is the sum of the others (A2).
type Totals struct {
	SupplyUATP     Amount `json:"supply_uatp"`
	AvailableUATP  Amount `json:"available_uatp"`
	LockedUATP     Amount `json:"locked_uatp"`
	BondedUATP     Amount `json:"bonded_uatp"`
	PoolUATP       Amount `json:"pool_uatp"`
	DischargedUATP Amount `json:"discharged_uatp"`
}

// Peer is a connected platform.
type Peer struct {
	PeerID      peer.ID `json:"peer_id"`
	Name        string  `json:"name,omitempty"`
	Address     string  `json:"address"` // multiaddress of the connection
	Path        string  `json:"path"`    // direct, punched or relayed
	Why         string  `json:"why,omitempty"`
	Via         peer.ID `json:"via,omitempty"` // the relay of a relayed path
	Relays      bool    `json:"relays"`        // it is public, and relays for the federation
	Direction   string  `json:"direction"`
	RoundTripUS int64   `json:"round_trip_us"` // 0 while not measured
	Validator   bool    `json:"validator"`
	Version     string  `json:"version,omitempty"`
	Height      Height  `json:"height"` // that it last called final; 0 if it has told none
	SinceMS     Millis  `json:"since_ms"`
}

// Validators is the set that decides the next height.
type Validators struct {
	Height  Height          `json:"height"` // the height they decide
	Quorum  int             `json:"quorum"`
	Faults  int             `json:"faults"` // how many may fail
	Members List[Validator] `json:"validators"`

	Candidates List[Candidate] `json:"candidates"` // who waits for a vote
	Admission  string          `json:"admission"`  // auto: everybody may wait for one; vote: who was voted for
	Admissions List[Admission] `json:"admissions"` // whom validators have voted for, while they are too few
}

// Admission is what some validators have voted for.
type Admission struct {
	PeerID    peer.ID       `json:"peer_id"`
	Name      string        `json:"name,omitempty"`
	Society   string        `json:"society,omitempty"`
	GrantUATP Amount        `json:"grant_uatp"` // that it gets from the pool
	Needed    int           `json:"needed"`     // votes
	Voters    List[peer.ID] `json:"voters"`     // validators whose votes count
	UntilMS   Millis        `json:"until_ms"`   // the first of the votes counts no longer
}

// Validator is a platform with a vote.
type Validator struct {
	PeerID     peer.ID `json:"peer_id"`
	Name       string  `json:"name,omitempty"`
	Connected  bool    `json:"connected"`   // true for the node itself
	LastSigned Height  `json:"last_signed"` // newest block whose certificate it signed, as far as seen
	Missing    uint64  `json:"missing"`     // certificates in a row without it
	BondedUATP Amount  `json:"bonded_uatp"`
	Leaving    bool    `json:"leaving"` // with the next that joins, or when another leaves too
}

// Candidate is a platform that waits for a vote.
type Candidate struct {
	PeerID     peer.ID `json:"peer_id"`
	Name       string  `json:"name,omitempty"`
	Connected  bool    `json:"connected"` // true for the node itself
	UntilMS    Millis  `json:"until_ms"`  // it waits no longer
	BondedUATP Amount  `json:"bonded_uatp"`
}

// Platform is what a platform has registered, and how it stands.
type Platform struct {
	PeerID     peer.ID          `json:"peer_id"`
	Name       string           `json:"name"`
	Society    string           `json:"society,omitempty"`
	Hardware   Hardware         `json:"hardware"`
	Horizon    Horizon          `json:"horizon"`
	Offers     List[Offer]      `json:"offers"`
	Runtimes   List[string]     `json:"runtimes"`
	Reputation List[Reputation] `json:"reputation"`
	Validator  bool             `json:"validator"`
	StakeUATP  Amount           `json:"stake_uatp"` // bonded to be drawn as a witness; 0: it is drawn as none
	Connected  bool             `json:"connected"`
	SinceMS    Millis           `json:"since_ms"` // time of the block that registered it
}

// Hardware is what a platform runs on, by its own word.
type Hardware struct {
	RAMMiB           uint64 `json:"ram_mib"`
	AcceleratorCores uint64 `json:"accelerator_cores"`
	PowerMilliwatts  uint64 `json:"power_mw"`
	Architecture     string `json:"architecture"`
}

// Horizon is how far a platform or a task reaches.
type Horizon struct {
	Spatial    string `json:"spatial,omitempty"`    // local, regional, global
	Temporal   string `json:"temporal,omitempty"`   // ephemeral, session, day, epoch
	Complexity string `json:"complexity,omitempty"` // simple, agent, society
}

// Offer is a task type with its prices, by complexity.
type Offer struct {
	Type         string `json:"type"`
	LowUATP      Amount `json:"low_uatp"`
	MediumUATP   Amount `json:"medium_uatp"`
	HighUATP     Amount `json:"high_uatp"`
	CriticalUATP Amount `json:"critical_uatp"`
}

// Reputation is a platform's standing in one role, decayed to Status's height.
type Reputation struct {
	Role          string `json:"role"`           // executor, requester or witness
	Type          string `json:"type,omitempty"` // task type, for executors
	ReputationPPM PPM    `json:"reputation_ppm"`
	LCBPPM        PPM    `json:"lcb_ppm"` // lower confidence bound: what routing uses
	SuccessPPM    PPM    `json:"success_ppm"`
	FailurePPM    PPM    `json:"failure_ppm"`
	Voids         uint64 `json:"voids"`
}

// Account is a balance, at a height.
type Account struct {
	PeerID        peer.ID          `json:"peer_id"`
	Name          string           `json:"name,omitempty"`
	AvailableUATP Amount           `json:"available_uatp"`
	LockedUATP    Amount           `json:"locked_uatp"`
	BondedUATP    Amount           `json:"bonded_uatp"`
	Stake         *Stake           `json:"stake,omitempty"` // of what is bonded; absent: none
	Nonce         uint64           `json:"nonce"`           // 0 if the key was replaced: it has none any more
	Reputation    List[Reputation] `json:"reputation"`
	Height        Height           `json:"height"`
	ReplacedBy    peer.ID          `json:"replaced_by,omitempty"` // who the platform is now, under another key
}

// Stake is what a platform has set aside to be drawn as a witness.
type Stake struct {
	AmountUATP   Amount `json:"amount_uatp"`
	FreeUATP     Amount `json:"free_uatp"`     // of it, for new seats
	ReservedUATP Amount `json:"reserved_uatp"` // of it, for open seats
	LeavingUATP  Amount `json:"leaving_uatp"`  // of it, asked back and not yet released
	OpenSeats    uint64 `json:"open_seats"`
}

// Movement is one change of one account.
type Movement struct {
	Height       Height  `json:"height"`
	TimeMS       Millis  `json:"time_ms"`
	Event        string  `json:"event"`       // as in Event.Name
	Tx           CID     `json:"tx,omitzero"` // absent when the state machine acted by itself
	Subject      CID     `json:"subject,omitzero"`
	Counterparty peer.ID `json:"counterparty,omitempty"`
	InUATP       Amount  `json:"in_uatp"`  // what became available
	OutUATP      Amount  `json:"out_uatp"` // what ceased to be
}

// Movements is a page of an account's history, newest first.
type Movements struct {
	Movements List[Movement] `json:"movements"`
	Next      string         `json:"next,omitempty"` // cursor of the page before, if any
}
