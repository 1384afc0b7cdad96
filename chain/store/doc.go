// Package store keeps a node's records in one directory, by Pebble: ordered
// keys, atomic batches, and a write-ahead log that survives power loss.
//
// Three things are added to Pebble. The directory says which network and which
// format it holds, and is opened for nothing else. A batch is applied in order
// without waiting for the disk, and the wait is a value of its own
// ([Pending.Wait]), so that work can go on between the two. And a disk that
// fails ends the store, not the process: see [Store.Failed].
//
// # When a write fails
//
// Pebble can't go on after a failed write of its log or manifest. It calls its
// logger's Fatalf, which by default ends the process, or panics with locks held;
// and once a write of the log has failed, what was written to the page cache is
// unknown. So the file system is watched from below (guard.go): the first write,
// sync, creation or renaming that fails marks the store as failed, and the
// goroutine that met it is parked, as is every later writer: no more of Pebble
// runs on a fault. Everybody who waits is told. What was acknowledged before is
// on disk; a new process opens it. The parked goroutines and Pebble's memory
// stay until the process ends, which it should do soon.
//
// To make that rare, a batch is refused, and the store failed in good order,
// while there is still some free space on the disk ([Options.Reserve]).
package store
