package view

import "github.com/libp2p/go-libp2p/core/peer"

// Verdict says how a finding is to be taken.
type Verdict string

// The verdicts, from good to bad.
const (
	VerdictOK      Verdict = "ok"
	VerdictWarning Verdict = "warning" // it works, and less well than it could
	VerdictProblem Verdict = "problem" // something does not work
)

// Finding is one thing that was looked at.
type Finding struct {
	About   string  `json:"about"` // identity, ports, peers, …
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"`              // what was found, one clause
	Cure    string  `json:"cure,omitempty"`    // what to do about it, one clause
	Command string  `json:"command,omitempty"` // the command for it
}

// Doctor is what a node found when it looked at itself.
type Doctor struct {
	Verdict  Verdict       `json:"verdict"` // the worst of the findings
	Findings List[Finding] `json:"findings"`
}

// Worst returns the worst verdict of findings; none is fine.
func Worst(findings []Finding) Verdict {
	worst := VerdictOK
	for _, f := range findings {
		if f.Verdict == VerdictProblem || f.Verdict == VerdictWarning && worst == VerdictOK {
			worst = f.Verdict
		}
	}
	return worst
}

// WhyNot says, for a task and each platform, whether the router of the node
// would give it the task at this moment, and what speaks against it.
type WhyNot struct {
	TaskID     CID             `json:"task_id"`
	State      TaskState       `json:"state"`
	Height     Height          `json:"height"`    // where the state was read
	MostUATP   Amount          `json:"most_uatp"` // the most that may be paid
	Note       string          `json:"note,omitempty"`
	Candidates List[Contender] `json:"candidates"`
}

// Contender is a platform as the router sees it.
type Contender struct {
	PeerID    peer.ID    `json:"peer_id"`
	Name      string     `json:"name,omitempty"`
	Chosen    bool       `json:"chosen"`     // it is the task's executor
	Fit       bool       `json:"fit"`        // it passes all tests
	Busy      bool       `json:"busy"`       // it works on a task: one draw in ten is among the idle alone
	ChancePPM PPM        `json:"chance_ppm"` // of being drawn by score, among those that fit
	Tests     List[Test] `json:"tests"`
}

// Test is one condition of the router.
type Test struct {
	What string `json:"what"` // registered, type, runtime, horizon, price, reputation, reachable, suspended
	OK   bool   `json:"ok"`
	Text string `json:"text"` // the values that were compared, one clause
}

// WhyIdle says why the node, as an executor, gets no work.
type WhyIdle struct {
	Height   Height        `json:"height"`
	Working  int           `json:"working"` // tasks that it has accepted and not yet proven
	Verdict  Verdict       `json:"verdict"`
	Findings List[Finding] `json:"findings"`
}

// ReputationStory says how a platform's reputation came about.
type ReputationStory struct {
	PeerID peer.ID              `json:"peer_id"`
	Name   string               `json:"name,omitempty"`
	Height Height               `json:"height"`
	Parts  List[ReputationPart] `json:"parts"` // one for each role and type; none for a newcomer
	Newest List[StandingMove]   `json:"newest"`
}

// ReputationPart is the standing in one role, with its arithmetic.
type ReputationPart struct {
	Reputation
	AsOfMS  Millis       `json:"as_of_ms"` // the day up to which the stored evidence had decayed
	Steps   List[string] `json:"steps"`    // the arithmetic in words
	Sources List[Source] `json:"sources"`
}

// Source is what one counterpart society has said.
type Source struct {
	Society    string `json:"society"`
	SuccessPPM PPM    `json:"success_ppm"`
	FailurePPM PPM    `json:"failure_ppm"`
	CapPPM     PPM    `json:"cap_ppm"` // the most of either sign that counts
}

// StandingMove is one change of a standing.
type StandingMove struct {
	TimeMS Millis `json:"time_ms"`
	Height Height `json:"height"`
	TaskID CID    `json:"task_id"`
	Role   string `json:"role"`
	Type   string `json:"type,omitempty"`
	OldPPM PPM    `json:"old_ppm"`
	NewPPM PPM    `json:"new_ppm"`
	Cause  string `json:"cause"`
}

// PeersWhy is who is not connected, or was turned away, and why. Names are the
// peers' own words.
type PeersWhy struct {
	Missing   List[MissingPeer] `json:"missing"`
	Refused   List[RefusedPeer] `json:"refused"`   // the latest first
	Offenders List[Offender]    `json:"offenders"` // the latest first
}

// MissingPeer is one that the node keeps trying to reach.
type MissingPeer struct {
	PeerID    peer.ID      `json:"peer_id"`
	Name      string       `json:"name,omitempty"`
	Addresses List[string] `json:"addresses"`
	Bootstrap bool         `json:"bootstrap"`
	Attempts  int          `json:"attempts"` // since it was last connected
	Reason    string       `json:"reason"`   // of the last failure; empty while there was none
}

// RefusedPeer is one that was turned away when it introduced itself.
type RefusedPeer struct {
	PeerID  peer.ID `json:"peer_id"`
	Name    string  `json:"name,omitempty"`
	Address string  `json:"address,omitempty"`
	Reason  string  `json:"reason"`
	Network string  `json:"network,omitempty"`
	Genesis string  `json:"genesis,omitempty"` // hex
	Times   int     `json:"times"`
	FirstMS Millis  `json:"first_ms"`
	LastMS  Millis  `json:"last_ms"`
}

// Offender is a peer that has done what no correct platform does.
type Offender struct {
	PeerID        peer.ID       `json:"peer_id"`
	Offences      List[Offence] `json:"offences"` // the newest, oldest first
	BannedUntilMS Millis        `json:"banned_until_ms,omitempty"`
}

// Offence is one thing that it did.
type Offence struct {
	TimeMS Millis `json:"time_ms"`
	Text   string `json:"text"`
}
