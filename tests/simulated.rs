//! The stories, in a simulated cluster under paused time: hours in milliseconds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::type_complexity,
    clippy::too_many_arguments,
    reason = "tables and fakes hand things over as they come"
)]
#![allow(clippy::disallowed_methods, reason = "tests may look at secrets and clocks")]

#[macro_use]
mod support {
    #[macro_use]
    mod everywhere;
    pub mod canary;
    pub mod classes;
    pub mod cluster;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod console;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod drivers;
    pub mod elsewhere;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod invariants;
    #[allow(dead_code, reason = "the stories with a real control plane use it")]
    pub mod plane;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod policies;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod random;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod replica;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod report;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod rights;
    pub mod vendor;
    #[allow(dead_code, reason = "the stories with a real control plane use the rest")]
    pub mod world;
}
mod stories {
    pub mod accounts;
    pub mod adopting;
    pub mod alerts;
    pub mod around;
    pub mod crowds;
    pub mod drivers;
    pub mod ending;
    pub mod examples;
    pub mod faults;
    pub mod holding;
    pub mod issuing;
    pub mod keeping;
    pub mod leadership;
    pub mod leaking;
    pub mod ledger;
    pub mod minting;
    pub mod models;
    pub mod openrouter;
    pub mod orphans;
    pub mod projects;
    pub mod provider_keys;
    pub mod readiness;
    pub mod refusals;
    pub mod rotating;
    pub mod shards;
    pub mod side_by_side;
    pub mod spending;
    pub mod survey;
    pub mod telling;
    pub mod tenancy;
    pub mod tokens;
    pub mod transitions;
    pub mod upkeep;
    pub mod vanishing;
    pub mod weeks;
}

use support::world::World;

macro_rules! tell {
    ($($module:ident: $($story:ident),+;)+) => {
        $(mod $module {
            $(#[tokio::test(start_paused = true)]
            async fn $story() {
                let mut world = super::World::simulated().await;
                super::stories::$module::$story(&mut world).await;
                world.end().await;
            })+
        })+
    };
}

/// One story at one vendor.
macro_rules! tell_at {
    ($place:ident $vendor_id:ident $module:ident: $($story:ident),+) => {
        mod $place {
            $(#[tokio::test(start_paused = true)]
            async fn $story() {
                let vendor_id = keysmith::emulator::VendorId::$vendor_id;
                let mut world = crate::support::world::World::simulated_at(vendor_id).await;
                crate::stories::$module::$story(&mut world).await;
                world.end().await;
            })+
        }
    };
}

/// One story at one vendor with two operators; the leadership is taken from each of them again and again.
macro_rules! tell_with_rivals_at {
    ($place:ident $vendor_id:ident $module:ident: $($story:ident),+) => {
        mod $place {
            $(#[tokio::test(start_paused = true)]
            async fn $story() {
                let vendor_id = keysmith::emulator::VendorId::$vendor_id;
                let mut world = crate::support::world::World::simulated_at(vendor_id).await;
                world.rival().await;
                crate::stories::$module::$story(&mut world).await;
                world.end().await;
            })+
        }
    };
}

tell_everywhere! {
    drivers:
        every_supported_field_reaches_the_vendor,
        an_edit_reaches_the_same_key_where_the_vendor_can,
        a_budget_for_once_is_what_is_left_and_an_edit_fills_it_up_unless_the_vendor_counts_on,
        everything_it_cannot_do_is_refused_at_once_and_before_any_call,
        a_key_is_rotated_before_it_expires_without_a_refused_call,
        an_expiry_is_moved_and_cleared_as_the_vendor_can,
        a_lost_secret_comes_back_with_a_key_that_works,
        an_expiry_that_was_moved_at_the_vendor_is_planned_for,
        an_expiry_that_the_vendor_does_not_show_is_reported_and_used_for_rotation,
        a_successor_shares_what_is_left_of_the_budget,
        a_successor_whose_answer_was_lost_shares_the_budget_too,
        previous_keys_are_limited_and_the_spendable_budget_is_reported,
        a_refused_token_is_reported_and_a_new_one_is_picked_up;
    spending:
        spending_is_read_where_requested_and_reported_in_steps,
        a_low_balance_is_reported_once,
        unreadable_spending_is_reported_and_keys_still_work,
        a_warning_that_could_never_come_is_refused_and_keys_work_on;
    leaking:
        a_leaked_key_is_revoked_at_once_and_never_restored,
        a_leaked_key_is_not_kept_beside_a_successor_whose_answer_was_lost,
        a_leaked_key_is_revoked_while_no_successor_can_be_created,
        a_leaked_key_is_revoked_while_its_specification_is_refused,
        a_leak_is_reported_until_the_key_is_revoked_although_the_token_is_refused,
        a_leaked_key_is_revoked_although_its_resource_is_suspended,
        a_leaked_key_is_revoked_during_a_retry_after_pause,
        a_leaked_key_is_revoked_although_no_secret_can_hold_a_successor,
        a_leaked_key_is_revoked_although_the_first_revocation_fails_and_no_successor_can_be_created,
        a_leak_that_is_declared_while_a_deletion_waits_is_dealt_with,
        a_key_that_leaked_is_not_retained_with_its_resource,
        a_leak_of_an_observed_key_is_reported_and_left_to_people;
    vanishing:
        a_key_that_vanishes_for_half_a_minute_is_kept,
        a_key_that_comes_back_after_it_was_replaced_has_its_overlap,
        a_deletion_revokes_a_key_that_no_listing_shows,
        a_leaked_key_that_no_listing_shows_is_revoked,
        an_unused_copy_of_a_key_is_announced_one_poll_before_it_is_revoked;
    around:
        a_secret_is_rewritten_around_its_unchanged_key,
        a_secret_reverted_in_a_different_way_each_time_is_left_alone_too,
        a_secret_of_an_earlier_version_keeps_its_key, a_gateway_that_no_entry_names_changes_no_secret,
        a_gateway_that_is_not_admitted_changes_no_secret,
        a_secret_that_cannot_be_stored_costs_no_key, a_secret_that_no_api_server_takes_is_refused_by_its_field,
        an_immutable_secret_keeps_its_key_until_it_is_deleted,
        a_controller_that_changes_a_secret_back_is_left_alone_after_the_second_time,
        a_controller_that_takes_the_key_out_costs_one_key_and_no_endless_reveals,
        a_replaced_manifest_gets_finalizer_and_claim_back;
    faults:
        a_lost_answer_to_a_create_call_is_found_again_and_not_sent_twice,
        a_create_call_that_never_arrived_is_made_again_under_the_next_serial,
        a_500_after_the_key_was_made_is_no_failure,
        a_truncated_answer_to_a_create_call_is_recovered,
        a_page_of_html_instead_of_an_answer_is_recovered,
        an_answer_that_never_comes_is_recovered,
        a_listing_that_lags_makes_no_second_key,
        a_refused_create_call_is_reported_with_the_field_and_backs_off,
        an_account_without_credit_is_reported_and_retried_every_hour,
        a_vendor_that_is_down_is_tried_ever_more_rarely_and_then_all_is_well,
        a_vendor_that_loses_every_answer_is_asked_ever_more_rarely,
        a_restart_does_not_shorten_a_wait,
        the_vendor_may_ask_for_a_pause,
        a_deletion_waits_for_a_vendor_that_is_down,
        deleting_while_an_answer_is_lost_leaves_no_key;
    survey:
        orphans_lists_keys_without_a_resource_and_deletes_them_on_request,
        a_key_that_is_accounted_for_by_now_is_left_alone,
        without_a_ledger_nothing_is_removed,
        a_survey_keeps_to_its_selection_and_names_the_tokens_that_did_not_answer,
        an_entry_of_an_account_that_was_not_asked_stays,
        an_orphan_that_only_another_namespace_lists_is_removed_through_its_token;
    refusals:
        a_foreign_secret_is_refused_before_a_key_is_created,
        of_two_resources_that_name_one_secret_the_first_wins,
        a_secret_that_appears_between_the_read_and_the_write_is_not_touched,
        a_specification_that_cannot_be_carried_out_names_the_field,
        a_served_key_outlives_an_edit_that_cannot_be_carried_out,
        an_immutable_secret_type_is_reported_and_changes_after_the_secret_is_deleted,
        a_resource_that_cannot_be_decoded_is_reported_and_stops_no_other;
}

mod transitions {
    everywhere!(transitions: every_specification_ends_in_ready_or_a_reason_and_editing_back_recovers);
}
mod refused_elsewhere {
    tell_at!(edgee Edgee refusals: a_refusal_of_one_vendor_is_none_of_another);
}

mod tenancy {
    tell_at!(edgee Edgee tenancy: a_shared_token_serves_the_namespaces_that_it_allows,
        a_token_is_not_kept_for_keys_of_the_shared_token_of_the_same_name,
        a_namespace_that_is_not_allowed_any_more_keeps_its_key_and_gets_nothing_new,
        a_key_that_leaked_is_revoked_although_nothing_new_is_permitted,
        budgets_of_a_namespace_add_up_to_at_most_its_limit,
        keys_of_a_day_are_counted_however_often_they_are_created_again,
        rotations_that_a_user_requests_keep_their_distance,
        a_shared_token_and_its_secret_are_kept_until_no_namespace_needs_them,
        what_is_not_permitted_has_no_effect,
        a_managed_key_that_is_only_observed_is_revoked_where_it_may_not_be_retained,
        console_tokens_are_refused_where_only_shared_ones_are_used,
        an_operator_of_listed_namespaces_uses_no_shared_tokens_and_says_so);
    tell_at!(edenai_v3 EdenAiV3 tenancy: a_shared_token_is_minted_with_another,
        a_namespace_that_is_not_allowed_any_more_keeps_its_key_and_gets_nothing_new);
    tell_at!(cortecs Cortecs tenancy: project_settings_that_are_not_permitted_stand_in_nobodys_way,
        a_shared_token_is_minted_with_another,
        a_shared_token_and_its_secret_are_kept_until_no_namespace_needs_them,
        rotations_that_a_user_requests_keep_their_distance);
}
mod crowds {
    tell_at!(cortecs Cortecs crowds: many_keys_wait_for_a_rate_limit_permit_and_none_takes_a_second_serial);
    tell_at!(edenai_v2 EdenAiV2 crowds: eight_namespaces_of_one_account_share_its_budget);
    tell_at!(edgee Edgee crowds: watched_namespaces_of_one_account_list_it_once_per_poll,
        a_vendor_that_hangs_delays_no_key_of_another_account,
        namespaces_of_one_account_take_turns_and_a_leak_comes_first,
        keys_are_made_at_the_rate_that_the_token_is_given, a_vendor_that_throttles_is_called_less);
    tell_at!(edenai_v3 EdenAiV3 crowds: eight_namespaces_of_one_account_share_its_budget,
        watched_namespaces_of_one_account_list_it_once_per_poll);
}

mod minting {
    tell_at!(edenai_v3 EdenAiV3 minting: a_token_is_minted_and_keys_are_made_with_it,
        a_minted_token_is_replaced_and_the_old_one_ends_after_the_new_one_was_used,
        a_new_token_that_does_not_work_does_not_end_the_old_one, a_lost_answer_leaves_one_token,
        a_token_is_used_although_the_watch_of_its_key_is_behind,
        a_token_in_use_is_not_revoked_with_its_key, a_key_that_pretends_to_be_a_token_is_refused,
        a_token_that_cannot_be_minted_is_refused_by_its_field);
    tell_at!(cortecs Cortecs minting: a_token_is_minted_and_keys_are_made_with_it,
        a_minted_token_is_replaced_and_the_old_one_ends_after_the_new_one_was_used,
        a_new_token_that_does_not_work_does_not_end_the_old_one, a_lost_answer_leaves_one_token,
        a_token_can_do_without_its_issuer_where_the_vendor_lets_it, a_token_in_use_is_not_revoked_with_its_key,
        a_key_that_pretends_to_be_a_token_is_refused);
    tell_at!(litellm LiteLlm minting: a_token_is_minted_and_keys_are_made_with_it,
        a_minted_token_is_replaced_and_the_old_one_ends_after_the_new_one_was_used,
        a_new_token_that_does_not_work_does_not_end_the_old_one, a_lost_answer_leaves_one_token,
        a_token_can_do_without_its_issuer_where_the_vendor_lets_it, a_token_in_use_is_not_revoked_with_its_key,
        a_key_that_pretends_to_be_a_token_is_refused);
    tell_at!(edgee Edgee minting: a_token_that_cannot_be_minted_is_refused_by_its_field);
    tell_at!(edenai_v2 EdenAiV2 minting: a_token_that_cannot_be_minted_is_refused_by_its_field);
    tell_at!(openrouter OpenRouter minting: a_token_that_cannot_be_minted_is_refused_by_its_field);
}

mod projects {
    tell_at!(cortecs Cortecs projects: settings_reach_the_project_and_nothing_else_in_it_changes,
        drift_in_the_console_is_corrected_or_only_shown,
        a_token_without_the_administrator_role_is_reported, of_two_for_one_project_the_first_counts);
    tell_at!(edgee Edgee projects: a_vendor_without_projects_is_refused_by_name);
    tell_at!(edenai_v3 EdenAiV3 projects: a_vendor_without_projects_is_refused_by_name);
}

mod adopting {
    everywhere!(adopting:
        a_key_that_is_not_there_is_named,
        an_observed_key_is_shown_and_left_alone,
        a_resource_restored_from_a_backup_finds_its_key_again,
        an_operator_of_some_namespaces_takes_no_key_for_a_copied_annotation,
        a_copy_of_a_resource_does_not_get_the_key_of_the_original);
    mod where_a_key_can_be_marked {
        tell_at!(edgee Edgee adopting: a_key_of_another_resource_or_cluster_is_not_taken_away);
        tell_at!(edenai_v3 EdenAiV3 adopting: a_key_of_another_resource_or_cluster_is_not_taken_away,
            a_key_that_is_shown_once_is_taken_over_and_replaced);
        tell_at!(openrouter OpenRouter adopting: a_key_of_another_resource_or_cluster_is_not_taken_away,
            a_key_that_is_shown_once_is_taken_over_and_replaced);
        tell_at!(litellm LiteLlm adopting: a_key_of_another_resource_or_cluster_is_not_taken_away,
            a_key_that_is_shown_once_is_taken_over_and_replaced,
            no_key_without_a_limit_replaces_one_whose_limit_is_not_shown);
    }
    tell_at!(only_edgee Edgee adopting:
        a_key_that_is_taken_over_keeps_the_limits_that_the_specification_does_not_name,
        a_successor_of_a_key_that_was_taken_over_lives_as_long,
        a_key_that_exists_is_taken_over_with_its_secret,
        a_key_that_is_shown_once_is_taken_over_and_replaced);
}

mod ending {
    everywhere!(ending:
        a_retained_key_still_works_and_is_reported,
        a_deletion_during_a_rotation_removes_both_keys,
        a_blocked_deletion_is_reported_in_time_and_can_be_forced,
        a_deletion_without_a_console_token_can_be_forced_by_policy,
        a_foreign_key_id_in_status_is_not_revoked,
        a_key_that_never_was_leaves_nothing_and_says_nothing);
    tell_at!(only_edgee Edgee ending:
        a_key_that_is_to_be_disabled_stays_and_does_not_work,
        a_token_and_a_provider_key_can_be_retained_too);
}

mod rotating {
    everywhere!(rotating:
        a_new_trigger_replaces_the_key_once_and_the_old_one_works_on,
        a_rotation_costs_three_writes_and_one_call,
        the_first_value_of_a_trigger_replaces_nothing,
        an_annotation_replaces_the_key_once_for_each_value,
        a_field_that_is_fixed_at_creation_replaces_the_key,
        the_old_key_works_beside_the_new_one_during_a_requested_overlap,
        an_own_entry_with_the_name_of_an_old_one_stays_when_old_keys_are_not_kept_any_more,
        making_keys_stops_when_there_are_too_many_in_a_day,
        lost_answers_and_secrets_during_rotations_are_recovered,
        nothing_is_replaced_while_it_is_suspended_and_all_of_it_after);
    tell_at!(only_edgee Edgee rotating:
        a_previous_key_still_in_use_is_waited_for_and_then_reported,
        a_longer_overlap_brings_a_key_back_that_was_switched_off,
        consumers_are_restarted_once_for_each_key_and_never_at_a_start,
        the_reloader_annotation_is_written_where_requested,
        a_budget_starts_anew_with_a_new_key_where_the_vendor_reports_no_spend_and_status_says_so,
        every_class_of_vendor_rotates_and_recovers);
}

mod issuing {
    everywhere!(issuing:
        a_new_key_costs_three_writes_and_one_call_and_its_secret_works,
        a_settled_key_costs_nothing,
        a_restart_reads_only_the_secrets_that_somebody_changed,
        a_secret_is_shaped_by_its_template,
        deleting_the_resource_revokes_the_key_and_leaves_nothing,
        a_key_that_a_human_made_is_never_touched,
        a_resource_with_a_very_long_name_comes_to_rest,
        a_shutdown_in_the_middle_of_a_create_call_finishes_it_first,
        a_restart_with_settled_keys_writes_nothing_and_calls_once,
        a_kill_in_the_middle_of_twenty_creations_leaves_exactly_twenty_keys_that_work);
    tell_at!(only_edgee Edgee issuing:
        a_restart_waits_for_the_list_of_secrets_unless_it_is_refused,
        every_field_reaches_the_vendor,
        an_edit_changes_the_key_in_place_and_only_what_was_edited,
        a_stop_right_after_the_start_ends_at_once);
}

mod keeping {
    everywhere!(keeping:
        an_edited_secret_is_restored,
        a_foreign_key_named_in_the_secret_is_neither_adopted_nor_revoked,
        a_key_deleted_in_the_console_is_issued_again,
        a_status_of_version_0_1_is_understood_and_moves_with_the_next_write,
        an_expired_key_is_replaced,
        an_unused_key_is_revoked_although_another_listing_saw_it_first,
        a_late_create_call_is_found_by_its_mark_and_removed);
    tell_at!(only_litellm LiteLlm keeping: a_limit_that_the_server_fills_in_is_kept);
    tell_at!(only_edgee Edgee keeping:
        secrets_that_are_not_watched_are_read_once_per_poll,
        settings_drift_in_the_console_is_corrected,
        a_disabled_key_is_enabled_again_although_another_listing_saw_it_first,
        a_reconcile_request_lists_the_vendor,
        an_amendment_that_the_vendor_ignores_is_reported,
        a_key_that_was_expired_when_it_was_made_is_not_made_again_and_again,
        last_use_is_shown_to_the_hour_and_written_no_oftener);
    mod where_keys_have_limits {
        tell_at!(edgee Edgee keeping: limits_removed_in_the_console_are_restored,
            drift_is_corrected_although_another_listing_saw_it_first);
        tell_at!(edenai_v2 EdenAiV2 keeping: limits_removed_in_the_console_are_restored,
            drift_is_corrected_although_another_listing_saw_it_first);
        tell_at!(edenai_v3 EdenAiV3 keeping: limits_removed_in_the_console_are_restored,
            drift_is_corrected_although_another_listing_saw_it_first);
    }
    mod where_a_key_is_shown_again {
        tell_at!(edgee Edgee keeping: a_deleted_secret_comes_back_with_the_same_key);
        tell_at!(edenai_v2 EdenAiV2 keeping: a_deleted_secret_comes_back_with_the_same_key);
    }
}

mod accounts {
    everywhere!(accounts:
        a_token_of_another_account_is_refused_until_the_old_one_is_back,
        a_token_of_another_account_is_suspected_by_its_missing_keys,
        keys_that_are_missing_together_are_a_doubt_that_ends_by_itself,
        another_account_is_accepted_and_the_keys_left_behind_are_in_the_ledger);
}

mod holding {
    everywhere!(holding:
        a_namespace_deleted_while_no_operator_runs_ends_and_leaves_no_key,
        a_namespace_deleted_while_the_operator_runs_ends_as_well,
        a_secret_deleted_alone_goes_at_once);
    tell_at!(only_edgee Edgee holding:
        a_secret_is_held_while_something_depends_on_its_token,
        a_secret_of_two_tokens_is_held_for_both,
        a_secret_that_no_token_names_loses_its_finalizer_at_startup,
        a_token_that_went_with_its_namespace_promises_nothing,
        a_token_secret_that_may_not_be_held_is_reported_once_and_reconciliation_goes_on);
}

mod telling {
    everywhere!(telling:
        a_refused_token_stalls_when_a_second_probe_confirms_it,
        a_served_key_stays_ready_while_its_token_is_missing,
        a_suspended_key_says_whether_applications_have_it,
        a_deletion_that_is_blocked_names_the_key_that_works,
        a_failed_create_call_is_reported_with_its_cause,
        a_copied_manifest_gets_its_key_at_once);
    mod where_keys_are_changed_in_place {
        tell_at!(edgee Edgee telling: two_events_of_one_reason_keep_their_own_texts);
        tell_at!(edenai_v2 EdenAiV2 telling: two_events_of_one_reason_keep_their_own_texts);
        tell_at!(edenai_v3 EdenAiV3 telling: two_events_of_one_reason_keep_their_own_texts);
    }
    mod where_there_are_budgets {
        tell_at!(edgee Edgee telling: conditions_report_a_budget_that_is_low_exhausted_and_available_again);
        tell_at!(edenai_v2 EdenAiV2 telling: conditions_report_a_budget_that_is_low_exhausted_and_available_again);
        tell_at!(edenai_v3 EdenAiV3 telling: conditions_report_a_budget_that_is_low_exhausted_and_available_again);
    }
    tell_at!(only_edgee Edgee telling:
        an_event_that_is_refused_is_counted,
        a_missing_reference_is_waited_for_five_minutes_and_stalls_then,
        a_budget_whose_spending_is_not_read_is_unknown,
        drift_of_a_key_with_an_exhausted_budget_is_corrected,
        a_secret_that_may_not_be_read_is_reported,
        workloads_that_do_not_exist_are_named_at_once);
}

mod upkeep {
    everywhere!(upkeep:
        a_field_without_effect_is_reported_and_the_key_is_still_reconciled);
    tell_at!(only_edgee Edgee upkeep:
        a_new_key_with_a_budget_costs_no_more_writes,
        a_key_whose_budget_is_spent_is_replaced_when_asked,
        spending_that_is_not_read_any_more_is_unknown,
        secrets_that_may_not_be_read_are_reported_by_every_kind,
        workloads_that_may_not_be_looked_for_are_unknown);
}

mod tokens {
    everywhere!(tokens:
        a_token_the_vendor_refuses_says_so_and_recovers_when_its_secret_changes,
        a_missing_secret_is_named_and_picked_up_when_it_appears,
        bytes_that_cannot_be_a_token_are_never_sent,
        an_endpoint_that_is_not_admitted_gets_nothing,
        malformed_answers_are_reported_and_never_quoted,
        a_vendor_that_hangs_is_given_up_after_the_deadline,
        a_refused_token_is_probed_once_for_all_its_dependants,
        a_token_that_settled_keys_do_not_need_may_fail_without_them,
        a_token_stays_until_nothing_needs_it_to_clean_up,
        a_restart_between_deletions_still_cleans_up,
        a_deletion_without_a_usable_token_says_what_blocks_it,
        a_token_replaced_during_deletions_still_cleans_up,
        a_key_waits_for_its_token_and_goes_on_when_it_comes);
    /// At other vendors a 403 may mean the plan's limit of keys.
    mod where_403_is_about_the_token {
        tell_at!(edgee Edgee tokens: a_transient_403_does_not_block_dependents);
        tell_at!(edenai_v2 EdenAiV2 tokens: a_transient_403_does_not_block_dependents);
        tell_at!(cortecs Cortecs tokens: a_transient_403_does_not_block_dependents);
    }
    tell_at!(only_edgee Edgee tokens:
        a_declared_expiry_warns_ahead,
        a_token_of_another_organization_says_so,
        a_bundle_of_authorities_is_read_beside_the_secret_of_the_token,
        authorities_that_come_late_are_read_without_an_event,
        a_token_of_the_same_name_is_another_one,
        a_forbidden_provider_key_listing_does_not_retry_in_a_loop,
        a_token_that_may_not_create_provider_keys_still_creates_keys);
}

mod alerts {
    tell_at!(edgee Edgee alerts: alerts_fire_for_what_needs_a_person_and_for_nothing_else);
}

mod models {
    tell_at!(edgee Edgee models:
        a_model_that_the_vendor_does_not_list_is_named_with_those_most_like_it,
        a_model_that_the_vendor_adds_later_is_seen_with_the_next_poll,
        models_that_cannot_be_read_are_no_reason_for_anything,
        what_a_vendor_calls_a_model_is_repeated_only_if_it_can_be_a_name);
    tell_at!(litellm LiteLlm models:
        a_model_that_the_vendor_does_not_list_is_named_with_those_most_like_it,
        a_model_that_the_vendor_adds_later_is_seen_with_the_next_poll,
        a_pattern_is_shown_with_what_it_stands_for,
        models_that_cannot_be_read_are_no_reason_for_anything,
        what_a_vendor_calls_a_model_is_repeated_only_if_it_can_be_a_name);
}

mod openrouter {
    tell_at!(openrouter OpenRouter openrouter:
        a_provider_key_follows_its_keys_and_its_credential_and_ends_with_its_resource,
        a_provider_that_the_vendor_does_not_know_is_refused_by_its_field);
}

mod orphans {
    everywhere!(orphans:
        an_orphan_is_reported_by_the_first_sweep_and_revoked_by_the_second,
        a_key_of_a_resource_ledger_or_other_cluster_is_not_swept,
        a_sweep_reads_the_ledger_last_and_writes_nothing,
        an_operator_of_some_namespaces_leaves_orphans_alone,
        an_orphan_older_than_the_ledger_is_left_to_people,
        an_entry_goes_with_its_key);
    mod where_the_age_of_a_key_is_told {
        tell_at!(edgee Edgee orphans: an_orphan_that_cannot_be_revoked_yet_is_revoked_later);
        tell_at!(cortecs Cortecs orphans: an_orphan_that_cannot_be_revoked_yet_is_revoked_later);
    }
    tell_at!(only_edgee Edgee orphans:
        a_key_that_is_being_created_is_no_orphan,
        a_sweep_that_cannot_see_everything_concludes_nothing,
        two_tokens_of_one_account_count_a_key_once,
        tokens_of_one_account_are_swept_once);
}

tell! {
    examples:
        those_for_edgee_become_ready_and_work,
        those_for_eden_ai_v3_become_ready_and_work,
        those_for_eden_ai_v2_become_ready_and_work,
        those_for_cortecs_become_ready_and_work,
        those_for_litellm_become_ready_and_work,
        those_for_openrouter_become_ready_and_work;
    side_by_side:
        each_operator_works_for_its_class_alone,
        keys_that_one_class_left_on_purpose_are_no_orphans_of_the_other,
        what_is_made_with_a_token_follows_it_to_another_class,
        the_secrets_of_shared_tokens_are_held_by_their_own_operator;
    shards:
        every_account_has_exactly_one_shard,
        a_shard_that_is_killed_is_taken_over_by_its_replica_alone,
        shards_of_another_number_wait_for_those_that_lead,
        of_two_numbers_of_shards_that_lead_the_lower_one_steps_back,
        keys_whose_token_comes_late_hold_no_turn_in_another_shard;
    leadership:
        the_other_leads_within_a_second_after_a_graceful_stop,
        the_other_leads_within_the_lease_and_a_second_after_a_kill,
        the_one_that_stands_by_is_ready_and_does_nothing,
        passes_under_way_are_finished_before_the_lease_is_released,
        a_deleted_lease_is_created_again,
        a_leader_that_takes_long_to_finish_keeps_the_lease_until_then,
        taking_over_lists_nothing,
        a_leader_that_is_cut_off_ceases_to_act_before_another_begins,
        a_provider_key_is_recorded_although_its_reconcile_is_dropped,
        a_renewal_whose_answer_is_lost_loses_nothing,
        a_candidate_without_watch_events_takes_over_at_the_end_of_the_lease,
        a_leader_that_hangs_says_so_and_is_replaced,
        a_replica_is_ready_when_its_caches_are_filled_and_lets_others_go_first,
        a_replica_that_lost_the_lease_exports_no_state_until_it_leads_again,
        one_operator_alone_leads_without_a_lease,
        one_operator_alone_is_ready_when_its_caches_are_filled;
    readiness:
        a_definition_that_goes_missing_is_named_by_readyz_until_it_is_back,
        an_api_server_that_refuses_everything_leaves_replicas_ready,
        a_missing_namespace_is_reported_and_watched_once_it_exists;
    provider_keys:
        every_documented_provider_gets_its_format,
        a_provider_key_is_assigned_to_the_keys_it_names_and_follows_them,
        an_assignment_that_cannot_be_changed_in_place_makes_a_new_provider_key,
        a_changed_credential_reaches_the_vendor_and_the_old_provider_key_is_removed,
        a_corrected_credential_need_not_wait,
        a_provider_key_that_the_vendor_does_not_remove_is_reported,
        a_provider_key_changed_or_removed_in_the_console_is_restored,
        a_lost_answer_to_a_provider_key_is_recovered,
        a_credential_that_cannot_be_one_is_named_and_never_sent,
        a_replaced_provider_key_is_held_again_whatever_is_in_the_way,
        a_provider_key_missing_from_two_early_listings_is_not_created_again,
        a_deletion_asks_for_the_removal_before_it_asks_for_a_listing,
        a_deletion_that_met_a_refusal_goes_on_when_the_token_works_again;
    ledger:
        an_entry_is_written_once_and_taken_out_again,
        writers_that_do_not_see_each_other_lose_nothing,
        a_full_ledger_says_so_and_keeps_what_it_has,
        a_malformed_ledger_entry_is_named,
        a_full_ledger_of_one_namespace_is_nobody_elses,
        an_entry_of_version_0_1_is_read_and_taken_out,
        a_forged_claim_writes_nothing_into_the_ledger,
        a_ledger_that_lacks_keys_of_any_account_says_so_for_good,
        a_key_of_an_unknown_account_is_lacked_by_every_account,
        an_account_whose_ledger_lacks_a_key_is_not_swept,
        a_deletion_that_waits_for_room_in_the_ledger_goes_on_by_itself;
    weeks:
        a_key_is_rotated_before_it_expires_and_its_readers_never_notice,
        a_key_without_expiry_is_replaced_at_its_age,
        a_replacement_waits_for_its_window,
        a_failed_replacement_keeps_the_old_key_and_says_when_it_is_overdue,
        ninety_days_end_with_the_right_keys_and_no_idle_hour_has_a_write;
}

/// An hour of changing leadership takes long to run: the other vendors have only the stories that depend on their class
/// of recovery.
mod faults_with_rivals {
    tell_with_rivals_at!(edgee Edgee faults:
        a_lost_answer_to_a_create_call_is_found_again_and_not_sent_twice,
        a_create_call_that_never_arrived_is_made_again_under_the_next_serial,
        a_500_after_the_key_was_made_is_no_failure,
        a_truncated_answer_to_a_create_call_is_recovered,
        a_page_of_html_instead_of_an_answer_is_recovered,
        an_answer_that_never_comes_is_recovered,
        a_listing_that_lags_makes_no_second_key,
        a_refused_create_call_is_reported_with_the_field_and_backs_off,
        a_vendor_that_is_down_is_tried_ever_more_rarely_and_then_all_is_well,
        a_vendor_that_loses_every_answer_is_asked_ever_more_rarely,
        a_restart_does_not_shorten_a_wait,
        the_vendor_may_ask_for_a_pause,
        a_deletion_waits_for_a_vendor_that_is_down,
        deleting_while_an_answer_is_lost_leaves_no_key);
    tell_with_rivals_at!(edenai_v2 EdenAiV2 faults:
        a_restart_does_not_shorten_a_wait,
        the_vendor_may_ask_for_a_pause,
        a_deletion_waits_for_a_vendor_that_is_down,
        deleting_while_an_answer_is_lost_leaves_no_key);
    tell_with_rivals_at!(edenai_v3 EdenAiV3 faults:
        a_lost_answer_to_a_create_call_is_found_again_and_not_sent_twice,
        a_restart_does_not_shorten_a_wait,
        the_vendor_may_ask_for_a_pause,
        a_deletion_waits_for_a_vendor_that_is_down,
        deleting_while_an_answer_is_lost_leaves_no_key);
    tell_with_rivals_at!(cortecs Cortecs faults:
        a_lost_answer_to_a_create_call_is_found_again_and_not_sent_twice,
        a_restart_does_not_shorten_a_wait,
        the_vendor_may_ask_for_a_pause,
        a_deletion_waits_for_a_vendor_that_is_down,
        deleting_while_an_answer_is_lost_leaves_no_key);
}
