package task

import (
	"fmt"

	"github.com/sage-p2p/sage-p2p/atp"
)

// eligible refuses one who may not accept the task.
func (b Book) eligible(t Task, by atp.ID) error {
	named := t.Terms.Executor
	if !named.IsZero() && by != named.ID {
		return fmt.Errorf("%w: the task is offered to %s alone", atp.ErrNotYours, named)
	}
	member, err := b.worker(t.Terms, by)
	if err != nil {
		return err
	}
	if named.IsZero() && (by == t.Requester.ID || member.Society == t.Requester.Society) {
		return fmt.Errorf("%w: %s is of the requester's society %s", ErrExecutor, by, member.Society)
	}
	return nil
}

// worker returns a member, unless it is not registered for the work.
func (b Book) worker(t Terms, id atp.ID) (Member, error) {
	member, err := b.State.Member(id)
	if err != nil {
		return Member{}, fmt.Errorf("task: member %s: %w", id, err)
	}
	_, takes := member.Platform.Offer(t.Type)
	switch {
	case !member.Registered || !takes:
		return Member{}, fmt.Errorf("%w: %s is not registered for type %s", ErrExecutor, id, t.Type)
	case !member.Platform.Runs(t.Runtime):
		return Member{}, fmt.Errorf("%w: %s is not registered for runtime %s", ErrExecutor, id, t.Runtime)
	}
	return member, nil
}

func (b Book) party(id atp.ID) (Party, error) {
	m, err := b.State.Member(id)
	if err != nil {
		return Party{}, fmt.Errorf("task: member %s: %w", id, err)
	}
	return Party{id, m.Society, m.Admitted}, nil
}
