package p2p

import (
	"reflect"
	"testing"

	"github.com/sage-p2p/sage-p2p/bft/fieldtest"
)

// helloFields says why a field of a hello needs no signature. None has one: the
// stream belongs to the key that the transport's handshake has proven, so that
// nobody but its sender can change a hello, and what a sender may say of itself
// is the only question.
func helloFields() map[string]string {
	return map[string]string{
		"Genesis":   "one that is not ours ends the connection; a false one brings its sender messages that do not verify",
		"Note":      "the caller's; a hint of what its sender is doing",
		"Relays":    "a reservation is asked for there; a false one costs a question, and kept peers come first",
		"Rival":     "a warning alone: it stops nothing that its receiver's own checks do not stop",
		"Clock":     "one vote of many on what time it is, and none on what is final",
		"Nonce":     "tells processes with one key apart; a false one makes its own sender a rival",
		"Network":   "a name for people",
		"Name":      "likewise; the chain's names are registered",
		"Agent":     "likewise",
		"Protocols": "what its sender serves: asking for more fails",
	}
}

// Every field of a hello is accounted for, and a hello that differs in one is
// another one on the wire: nothing can be changed unseen below the encoding.
func TestEachFieldOfAHelloIsItsSendersOwnWord(t *testing.T) {
	reasons := helloFields()
	for f := range reflect.TypeFor[hello]().Fields() {
		if reasons[f.Name] == "" {
			t.Errorf("field %s has no signature, and no reason for that", f.Name)
		}
	}
	good := string(fullHello().encode())
	fresh := func() any { m := fullHello(); return &m }
	fieldtest.Each(fresh, func(c fieldtest.Change) {
		changed := c.Value.(*hello).encode()
		if string(changed) == good {
			t.Errorf("%s: %s: it reads as before", c.Field, c.What)
		}
		if got, err := decodeHello(changed); err == nil && !reflect.DeepEqual(&got, c.Value) {
			t.Errorf("%s: %s: sent %+v, read %+v", c.Field, c.What, c.Value, got)
		}
	})
}
