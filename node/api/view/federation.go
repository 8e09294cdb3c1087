package view

import "github.com/libp2p/go-libp2p/core/peer"

// Federation is one that the node is of, or that was heard on its LAN. All but what
// is said of the node's own is the word of whoever announces it.
type Federation struct {
	Network   string          `json:"network"`
	Genesis   string          `json:"genesis"` // hex; empty for platforms that have none yet
	Founder   string          `json:"founder,omitempty"`
	SinceMS   Millis          `json:"since_ms"`  // when it was founded; 0 if nobody says
	Here      bool            `json:"here"`      // the node's own
	Platforms List[Neighbour] `json:"platforms"` // that were heard, and the node itself
}

// Federations lists those that are heard.
type Federations struct {
	Federations List[Federation] `json:"federations"`
}

// Neighbour is a platform heard on the LAN.
type Neighbour struct {
	PeerID  peer.ID `json:"peer_id"`
	Name    string  `json:"name,omitempty"`
	Address string  `json:"address,omitempty"` // IP address from which it was heard
	HeardMS Millis  `json:"heard_ms"`          // when, last
}

// NewInvite asks for an invite to the node's federation.
type NewInvite struct {
	For       string `json:"for,omitempty"`        // whom it is for, as a note of the node's own
	ExpiresMS Span   `json:"expires_ms,omitempty"` // how long it lasts; 0 is a day
}

// Reach says from where the bearer of an invite finds the platform that made it.
type Reach string

// The reaches.
const (
	ReachPublic  Reach = "public"  // from the internet
	ReachRelayed Reach = "relayed" // from the internet, through a public platform
	ReachLocal   Reach = "local"   // from its own network alone
)

// Invite is a right to join a federation, once.
type Invite struct {
	Invite  string `json:"invite"` // what `up --join` takes
	Network string `json:"network"`
	Genesis string `json:"genesis"`
	For     string `json:"for,omitempty"`
	UntilMS Millis `json:"until_ms"`
	Reach   Reach  `json:"reach"`
}
