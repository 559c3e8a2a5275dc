package journal

import "os"

// records are the records of one side file.
type records struct {
	all  []Side // the zero Side where a record cannot be read
	last int    // index of the last that can, -1
	torn int64  // bytes behind the last whole record
}

// decodeAll reads a side file. Records that an interrupted repair has replaced, and that still stand behind the record
// that replaces them, do not count: they begin with a number that the other has used.
func decodeAll(b []byte) records {
	r := records{last: -1, torn: int64(len(b) % sideSize)}
	next := uint64(0)
	for ; len(b) >= sideSize; b = b[sideSize:] {
		var s Side
		if s.decode(b) != nil {
			s = Side{}
		} else if s.First < next {
			break
		} else {
			next = s.Next()
			r.last = len(r.all)
		}
		r.all = append(r.all, s)
	}
	return r
}

// readEnd reads the last records of a side file, of which there are count; all of them where the last few cannot be
// read. Without a file there are none.
func readEnd(path string) (recs records, count int64, err error) {
	f, err := os.Open(path)
	if notExist(err) {
		return records{last: -1}, 0, nil
	}
	if err != nil {
		return recs, 0, &WriteError{"open", path, err}
	}
	defer f.Close()
	size, err := fileSize(f)
	count = size / sideSize
	for n := min(windowRecords, count); err == nil; n = count {
		b := make([]byte, n*sideSize)
		if _, err = f.ReadAt(b, (count-n)*sideSize); err == nil {
			if recs = decodeAll(b); recs.last >= 0 || n == count {
				return recs, count, nil
			}
		}
	}
	return recs, 0, &WriteError{"read", path, err}
}
