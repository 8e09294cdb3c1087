package exec

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Bounds of a stream of server-sent events, in bytes.
const (
	maxEvent  = 256 << 10 // the data of one event, and one line
	maxStream = 64 << 20  // all of a stream
)

// errStream reports a stream that no correct server sends.
var errStream = errors.New("exec: malformed event stream")

// sseReader reads the data of server-sent events, whatever else they have. It
// never holds more than two events.
type sseReader struct {
	lines *bufio.Reader
	left  int // bytes that the stream may still have
}

func newSSEReader(r io.Reader) *sseReader {
	return &sseReader{lines: bufio.NewReaderSize(r, 4<<10), left: maxStream}
}

// next returns the data of the next event that has some. The end of the stream
// is io.EOF; it ends an event, too.
func (s *sseReader) next() ([]byte, error) {
	var data []byte
	some := false
	for {
		line, err := s.line()
		if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0 && !some) {
			return nil, err
		}
		if value, is := field(line, "data"); is {
			if some {
				data = append(data, '\n')
			}
			data, some = append(data, value...), true
		}
		if len(data) > maxEvent {
			return nil, fmt.Errorf("%w: an event of more than %d bytes", errStream, maxEvent)
		}
		if some && (len(line) == 0 || err != nil) {
			return data, nil // an error comes again
		}
	}
}

// field returns the value of a line that is of the field called name.
func field(line []byte, name string) (value []byte, is bool) {
	key, value, _ := bytes.Cut(line, []byte(":"))
	return bytes.TrimPrefix(value, []byte(" ")), string(key) == name
}

// line returns the next line without its end. With io.EOF it returns what came
// after the last end of a line.
func (s *sseReader) line() ([]byte, error) {
	var line []byte
	for {
		piece, err := s.lines.ReadSlice('\n')
		if s.left -= len(piece); s.left < 0 {
			return nil, fmt.Errorf("%w: more than %d bytes", errStream, maxStream)
		}
		if len(line)+len(piece) > maxEvent {
			return nil, fmt.Errorf("%w: a line of more than %d bytes", errStream, maxEvent)
		}
		line = append(line, piece...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), err
	}
}
