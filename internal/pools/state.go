package pools

import (
	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Percents at which a state begins, and below which it ends again.
const (
	warnAt, warnBelow         = 80, 75
	criticalAt, criticalBelow = 95, 92
)

// Next is the state that follows on another one.
func Next(before networkstackv1alpha1.PoolState, allocated, capacity int64) networkstackv1alpha1.PoolState {
	percent := Percent(allocated, capacity)
	was := severity(before)
	switch {
	case allocated >= capacity:
		return networkstackv1alpha1.PoolExhausted
	case percent >= criticalAt, percent >= criticalBelow && was >= severity(networkstackv1alpha1.PoolCritical):
		return networkstackv1alpha1.PoolCritical
	case percent >= warnAt, percent >= warnBelow && was >= severity(networkstackv1alpha1.PoolNearlyExhausted):
		return networkstackv1alpha1.PoolNearlyExhausted
	}
	return networkstackv1alpha1.PoolSufficient
}

// severity orders states; an unknown one is as good as the best.
func severity(s networkstackv1alpha1.PoolState) int {
	switch s {
	case networkstackv1alpha1.PoolNearlyExhausted:
		return 1
	case networkstackv1alpha1.PoolCritical:
		return 2
	case networkstackv1alpha1.PoolExhausted:
		return 3
	default:
		return 0
	}
}
