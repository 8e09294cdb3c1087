package node

import (
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
)

// arrived has a peer asked soon.
func (c *contacts) arrived(id peer.ID) {
	c.mu.Lock()
	if len(c.came) < maxCame {
		c.came[id] = true
	}
	c.mu.Unlock()
	c.nudge()
}

// askAgain has all peers asked soon.
func (c *contacts) askAgain() {
	c.mu.Lock()
	c.again = true
	c.mu.Unlock()
	c.nudge()
}

func (c *contacts) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// newcomers returns whom to ask since it was last called.
func (c *contacts) newcomers() func(atp.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	came, again := c.came, c.again
	c.came, c.again = map[peer.ID]bool{}, false
	return func(id atp.ID) bool { return again || came[id.ID] }
}
