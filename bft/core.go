package bft

import "github.com/ipfs/go-cid"

// Config is what a Core is made of.
type Config struct {
	Height Height
	Set    ValidatorSet // the validators of Height
	Self   ID           // a member of Set votes; anyone else observes
	Record Record       // what Self has said so far, of whatever height
}

// Core decides one height. Make one for each height with NewCore, give it
// Start, and then whatever happens; each call returns what must be done.
type Core struct {
	cfg Config
}

// NewCore returns the state machine of a height, resumed from the record. A
// platform whose record is beyond the height (its chain travelled back in
// time) observes.
func NewCore(cfg Config) *Core { return &Core{cfg: cfg} }

// Start must be the first call: it sends again what the record holds of this
// height, and takes up where it ended.
func (c *Core) Start() Output { return Output{} }

// Message takes a verified message of this height; arrived is handed back in
// Check. It fails with [ErrStale] or [ErrAhead] for another height.
func (c *Core) Message(m Verified, arrived Arrival) (Output, error) { return Output{}, nil }

// Work tells that the application has something to do.
func (c *Core) Work() Output { return Output{} }

// TimerFired tells that a timer has run its course.
func (c *Core) TimerFired(t Timer) Output { return Output{} }

// LeaderGone tells that the transport has lost a validator.
func (c *Core) LeaderGone(id ID) Output { return Output{} }

// LeaderBack tells that a validator lost before is connected again.
func (c *Core) LeaderBack(id ID) {}

// Checked gives the application's answer to a Check.
func (c *Core) Checked(v View, block cid.Cid, verdict Verdict) Output { return Output{} }

// Built gives the application's answer to a Build. It fails with [ErrInvalid]
// if the block is not the one asked for.
func (c *Core) Built(v View, block cid.Cid, payload []byte) (Output, error) { return Output{}, nil }

// Status returns what Status tells about this height. The caller adds the
// final block, its clock, and the newest statement held from the receiver.
func (c *Core) Status() *Status { return nil }

// View returns the current view.
func (c *Core) View() View { return 0 }

// Certificate returns the decision with every COMMIT held for it, late ones
// too, for the next block's LastCommit; nil before the decision.
func (c *Core) Certificate() *CommitCert { return nil }
