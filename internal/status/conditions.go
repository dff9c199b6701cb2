// Package status writes statuses. Its conditions are as kstatus reads them: Ready says how things are,
// Reconciling and Stalled are present only while they are true.
package status

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// maxMessage is the longest message a condition may carry.
const maxMessage = 32768

// Set sets one condition; its transition time moves only when its status does.
func Set(list *[]metav1.Condition, generation int64, conditionType string, status metav1.ConditionStatus, reason, message string) {
	if len(message) > maxMessage {
		message = message[:maxMessage-3] + "..."
	}
	meta.SetStatusCondition(list, metav1.Condition{
		Type: conditionType, Status: status, Reason: reason, Message: message, ObservedGeneration: generation,
	})
}

// Clear removes a condition that is only there while it holds.
func Clear(list *[]metav1.Condition, conditionType string) {
	meta.RemoveStatusCondition(list, conditionType)
}

// Ready says that everything is as wanted.
func Ready(list *[]metav1.Condition, generation int64, reason, message string) {
	Set(list, generation, networkstackv1alpha1.ConditionReady, metav1.ConditionTrue, reason, message)
	meta.RemoveStatusCondition(list, networkstackv1alpha1.ConditionReconciling)
	meta.RemoveStatusCondition(list, networkstackv1alpha1.ConditionStalled)
}

// Working says that things are not yet as wanted and the operator is on it.
func Working(list *[]metav1.Condition, generation int64, reason, message string) {
	Set(list, generation, networkstackv1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	Set(list, generation, networkstackv1alpha1.ConditionReconciling, metav1.ConditionTrue, reason, message)
	meta.RemoveStatusCondition(list, networkstackv1alpha1.ConditionStalled)
}

// Stuck says that things are not as wanted and will not improve without a person's help.
func Stuck(list *[]metav1.Condition, generation int64, reason, message string) {
	Set(list, generation, networkstackv1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	Set(list, generation, networkstackv1alpha1.ConditionStalled, metav1.ConditionTrue, reason, message)
	meta.RemoveStatusCondition(list, networkstackv1alpha1.ConditionReconciling)
}

// Paused says that nothing is being done because the user asked for that.
func Paused(list *[]metav1.Condition, generation int64, message string) {
	Set(list, generation, networkstackv1alpha1.ConditionReady, metav1.ConditionFalse, networkstackv1alpha1.ReasonSuspended, message)
	meta.RemoveStatusCondition(list, networkstackv1alpha1.ConditionReconciling)
	meta.RemoveStatusCondition(list, networkstackv1alpha1.ConditionStalled)
}
