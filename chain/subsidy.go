package chain

// Coin is the number of units in one coin.
const Coin = 100_000_000

// maxMoney is more than any output may hold, in units (Bitcoin's MAX_MONEY).
const maxMoney = 21_000_000 * Coin

// SubsidyAt returns how many units the coinbase at height may create: initial,
// halved after every interval blocks. An interval of zero never halves.
func SubsidyAt(height uint32, initial int64, interval uint32) int64 {
	if interval == 0 {
		return initial
	}
	halvings := height / interval
	if halvings >= 63 {
		return 0
	}
	return initial >> halvings
}
