package signer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// File is what the record needs of a disk. An [os.File] has the right shape;
// the simulator supplies one that loses and tears what was not synced.
//
// Sync returns when everything written before it is on stable storage. After
// an error nothing may be assumed, and it is never asked a second time.
type File interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// The file holds two pairs of copies: one of the newest record, one of the
// record before it. They lie 64 KiB apart, so that no sector, page or usual erase
// block belongs to two, and the file never grows or moves after it was made.
const (
	slotSize = 16 << 10
	slotGap  = 64 << 10
	copies   = 2 // of a record, in a pair
	pairs    = 2

	// FileSize is the size of a record's file, in bytes.
	FileSize = (pairs*copies-1)*slotGap + slotSize
)

// A slot holds magic, schema, length and write counter, then the record, then
// the SHA-256 of all that. Numbers are big-endian. What lies behind is stale.
const (
	magic      = "sagesign"
	schema     = 1
	headerSize = len(magic) + 4 + 4 + 8
	maxRecord  = slotSize - headerSize - sha256.Size
)

// errNoSlot reports that no slot holds a record.
var errNoSlot = errors.New("none of its copies is readable")

// slots keeps the newest record of a file in one pair of its slots, and the one
// before it in the other.
type slots struct {
	file    File
	counter uint64 // of the newest record, in the file or on its way there
	next    int    // the pair that the next update overwrites
	older   bool   // that pair holds a whole record, too
	syncs   uint64 // of updates
}

// newSlots returns the slots of a file that holds no record.
func newSlots(file File) *slots { return &slots{file: file} }

// loadSlots reads the newest record of a file. It writes nothing: the next
// update overwrites the pair that was not read. What a killed process wrote may
// be in memory alone, so it is synced first: what is read is on the disk, and
// stays there while the other pair is in danger.
func loadSlots(file File) (*slots, []byte, error) {
	if err := file.Sync(); err != nil {
		return nil, nil, fmt.Errorf("syncing what was left: %w", err)
	}
	var (
		s     *slots
		best  []byte
		whole [pairs]bool
	)
	raw := make([]byte, slotSize)
	for i := range pairs * copies {
		clear(raw)
		if _, err := file.ReadAt(raw, int64(i)*slotGap); err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, fmt.Errorf("reading copy %d: %w", i, err)
		}
		counter, record, ok := decodeSlot(raw)
		whole[i/copies] = whole[i/copies] || ok
		if ok && (s == nil || counter > s.counter) {
			s, best = &slots{file: file, counter: counter, next: 1 - i/copies}, bytes.Clone(record)
		}
	}
	if s == nil {
		return nil, nil, errNoSlot
	}
	s.older = whole[s.next]
	return s, best, nil
}

// confirm writes what was loaded once more where it was read, before the other pair
// is touched. When a sync fails, the system may forget that it has anything to
// write: readers then see what is on no disk, and the sync of loading says that all
// is well. The bytes are the same, so that a whole pair stays whole; and where the
// other one holds nothing, its update was interrupted, so that this is on the disk.
func (s *slots) confirm(record []byte) error {
	if !s.older {
		return nil
	}
	raw, err := encodeSlot(s.counter, record)
	if err != nil {
		return err
	}
	return s.put(1-s.next, raw)
}

// write makes two copies of a record durable, with one sync, in place of the
// record before the last. After an error the slots must not be used again.
func (s *slots) write(record []byte) error {
	s.counter++
	raw, err := encodeSlot(s.counter, record)
	if err != nil {
		return err
	}
	if err := s.put(s.next, raw); err != nil {
		return err
	}
	s.next = 1 - s.next
	return nil
}

// put makes both copies of a pair durable.
func (s *slots) put(pair int, raw []byte) error {
	for i := range copies {
		if _, err := s.file.WriteAt(raw, offset(pair, i)); err != nil {
			return fmt.Errorf("writing copy %d: %w", pair*copies+i, err)
		}
	}
	s.syncs++
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("syncing: %w", err)
	}
	return nil
}

// offset is where a copy of a pair begins.
func offset(pair, copy int) int64 { return int64(pair*copies+copy) * slotGap }

func encodeSlot(counter uint64, record []byte) ([]byte, error) {
	if len(record) > maxRecord {
		return nil, fmt.Errorf("record has %d bytes, a copy holds %d", len(record), maxRecord)
	}
	raw := make([]byte, 0, headerSize+len(record)+sha256.Size)
	raw = append(raw, magic...)
	raw = binary.BigEndian.AppendUint32(raw, schema)
	raw = binary.BigEndian.AppendUint32(raw, uint32(len(record)))
	raw = binary.BigEndian.AppendUint64(raw, counter)
	raw = append(raw, record...)
	sum := sha256.Sum256(raw)
	return append(raw, sum[:]...), nil
}

// decodeSlot returns what a slot holds; ok is false for a slot that is blank,
// torn, damaged or of another schema.
func decodeSlot(raw []byte) (counter uint64, record []byte, ok bool) {
	if len(raw) < headerSize+sha256.Size || string(raw[:len(magic)]) != magic {
		return 0, nil, false
	}
	fields := raw[len(magic):headerSize]
	length := uint64(binary.BigEndian.Uint32(fields[4:]))
	if binary.BigEndian.Uint32(fields) != schema || length > uint64(len(raw)-headerSize-sha256.Size) {
		return 0, nil, false
	}
	end := headerSize + int(length)
	if sum := sha256.Sum256(raw[:end]); !bytes.Equal(sum[:], raw[end:end+sha256.Size]) {
		return 0, nil, false
	}
	return binary.BigEndian.Uint64(fields[8:]), raw[headerSize:end], true
}
